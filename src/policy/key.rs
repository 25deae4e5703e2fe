//! The condition keys that a policy may use: one table, which says of each what its values are.
//!
//! A key outside the table is refused when a policy is saved, for nobody could say when it is present. Keys that exist at
//! AWS but whose subject does not exist here (organizations, calls on someone's behalf, multi-factor authentication) are `Never` present. That is the truth, but a statement that would never deny
//! because of it is a trap, so `condition` refuses those.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::bits::Bits;

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, which may be read as anything.
    Text,
    /// The name of a resource.
    Arn,
    /// A decimal number.
    Number,
    /// A moment, also as seconds since 1970.
    Date,
    /// `true` or `false`.
    Bool,
    /// An address of the internet.
    Ip,
}

/// How many values a key can have in one request, and whether its name goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// At most one value.
    Single,
    /// Any number of values.
    Multi,
    /// At most one value for each name that follows: `s3:ExistingObjectTag/team`.
    Named,
}

/// Whether a request can have a value for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Some requests have one.
    Sometimes,
    /// What the key tells of does not exist here.
    Never,
}

macro_rules! keys {
    ($($variant:ident $name:literal $kind:ident $shape:ident $presence:ident)*) => {
        /// A condition key that this store knows. The variant is the name without its punctuation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the variants are the names of the table, which AWS documents")]
        pub enum ConditionKey {
            $($variant,)*
            /// A claim of an identity provider's token, `provider:claim`: in trust policies only.
            Claim,
        }

        const TABLE: &[Row] = &[
            $(Row {
                key: ConditionKey::$variant,
                name: $name,
                kind: Kind::$kind,
                shape: Shape::$shape,
                presence: Presence::$presence,
            },)*
            Row {
                key: ConditionKey::Claim,
                name: "claim",
                kind: Kind::Text,
                shape: Shape::Multi,
                presence: Presence::Sometimes,
            },
        ];
    };
}

struct Row {
    key: ConditionKey,
    name: &'static str,
    kind: Kind,
    shape: Shape,
    presence: Presence,
}

keys! {
    // Of the principal.
    AwsFederatedProvider "aws:FederatedProvider" Text Single Sometimes
    AwsMultiFactorAuthAge "aws:MultiFactorAuthAge" Number Single Never
    AwsMultiFactorAuthPresent "aws:MultiFactorAuthPresent" Bool Single Sometimes
    AwsPrincipalAccount "aws:PrincipalAccount" Text Single Sometimes
    AwsPrincipalArn "aws:PrincipalArn" Arn Single Sometimes
    AwsPrincipalIsAwsService "aws:PrincipalIsAWSService" Bool Single Sometimes
    AwsPrincipalOrgId "aws:PrincipalOrgID" Text Single Never
    AwsPrincipalOrgPaths "aws:PrincipalOrgPaths" Text Multi Never
    AwsPrincipalServiceName "aws:PrincipalServiceName" Text Single Sometimes
    AwsPrincipalServiceNamesList "aws:PrincipalServiceNamesList" Text Multi Sometimes
    AwsPrincipalTag "aws:PrincipalTag" Text Named Sometimes
    AwsPrincipalType "aws:PrincipalType" Text Single Sometimes
    AwsSourceIdentity "aws:SourceIdentity" Text Single Sometimes
    AwsTokenIssueTime "aws:TokenIssueTime" Date Single Sometimes
    AwsUserId "aws:userid" Text Single Sometimes
    AwsUsername "aws:username" Text Single Sometimes

    // Of the way that the request came.
    AwsCalledVia "aws:CalledVia" Text Multi Never
    AwsCalledViaFirst "aws:CalledViaFirst" Text Single Never
    AwsCalledViaLast "aws:CalledViaLast" Text Single Never
    AwsCurrentTime "aws:CurrentTime" Date Single Sometimes
    AwsEpochTime "aws:EpochTime" Date Single Sometimes
    AwsReferer "aws:Referer" Text Single Sometimes
    AwsRequestedRegion "aws:RequestedRegion" Text Single Sometimes
    AwsSecureTransport "aws:SecureTransport" Bool Single Sometimes
    AwsSourceAccount "aws:SourceAccount" Text Single Sometimes
    AwsSourceArn "aws:SourceArn" Arn Single Sometimes
    AwsSourceIp "aws:SourceIp" Ip Single Sometimes
    AwsSourceOrgId "aws:SourceOrgID" Text Single Never
    AwsSourceOrgPaths "aws:SourceOrgPaths" Text Multi Never
    AwsSourceOwner "aws:SourceOwner" Text Single Never
    AwsSourceVpc "aws:SourceVpc" Text Single Sometimes
    AwsSourceVpce "aws:SourceVpce" Text Single Sometimes
    AwsUserAgent "aws:UserAgent" Text Single Sometimes
    AwsViaAwsService "aws:ViaAWSService" Bool Single Sometimes
    AwsVpcSourceIp "aws:VpcSourceIp" Ip Single Sometimes

    // Of the resource, and of the tags in the request.
    AwsRequestTag "aws:RequestTag" Text Named Sometimes
    AwsResourceAccount "aws:ResourceAccount" Text Single Sometimes
    AwsResourceOrgId "aws:ResourceOrgID" Text Single Never
    AwsResourceOrgPaths "aws:ResourceOrgPaths" Text Multi Never
    AwsResourceTag "aws:ResourceTag" Text Named Sometimes
    AwsTagKeys "aws:TagKeys" Text Multi Sometimes

    // Request headers of S3.
    S3XAmzAcl "s3:x-amz-acl" Text Single Sometimes
    S3XAmzBucketNamespace "s3:x-amz-bucket-namespace" Text Single Sometimes
    S3XAmzContentSha256 "s3:x-amz-content-sha256" Text Single Sometimes
    S3XAmzCopySource "s3:x-amz-copy-source" Text Single Sometimes
    S3XAmzGrantFullControl "s3:x-amz-grant-full-control" Text Single Sometimes
    S3XAmzGrantRead "s3:x-amz-grant-read" Text Single Sometimes
    S3XAmzGrantReadAcp "s3:x-amz-grant-read-acp" Text Single Sometimes
    S3XAmzGrantWrite "s3:x-amz-grant-write" Text Single Sometimes
    S3XAmzGrantWriteAcp "s3:x-amz-grant-write-acp" Text Single Sometimes
    S3XAmzMetadataDirective "s3:x-amz-metadata-directive" Text Single Sometimes
    S3XAmzObjectOwnership "s3:x-amz-object-ownership" Text Single Sometimes
    S3XAmzServerSideEncryption "s3:x-amz-server-side-encryption" Text Single Sometimes
    S3XAmzServerSideEncryptionAwsKmsKeyId "s3:x-amz-server-side-encryption-aws-kms-key-id" Arn Single Sometimes
    S3XAmzServerSideEncryptionCustomerAlgorithm "s3:x-amz-server-side-encryption-customer-algorithm" Text Single Sometimes
    S3XAmzStorageClass "s3:x-amz-storage-class" Text Single Sometimes
    S3XAmzWebsiteRedirectLocation "s3:x-amz-website-redirect-location" Text Single Sometimes
    S3IfMatch "s3:if-match" Text Single Sometimes
    S3IfNoneMatch "s3:if-none-match" Text Single Sometimes
    S3ObjectCreationOperation "s3:ObjectCreationOperation" Bool Single Sometimes

    // Listing.
    S3Delimiter "s3:delimiter" Text Single Sometimes
    S3MaxKeys "s3:max-keys" Number Single Sometimes
    S3Prefix "s3:prefix" Text Single Sometimes

    // Objects.
    S3ExistingObjectTag "s3:ExistingObjectTag" Text Named Sometimes
    S3ObjectLockLegalHold "s3:object-lock-legal-hold" Text Single Sometimes
    S3ObjectLockMode "s3:object-lock-mode" Text Single Sometimes
    S3ObjectLockRemainingRetentionDays "s3:object-lock-remaining-retention-days" Number Single Sometimes
    S3ObjectLockRetainUntilDate "s3:object-lock-retain-until-date" Date Single Sometimes
    S3RequestObjectTag "s3:RequestObjectTag" Text Named Sometimes
    S3RequestObjectTagKeys "s3:RequestObjectTagKeys" Text Multi Sometimes
    S3VersionId "s3:versionid" Text Single Sometimes

    // Buckets and accounts. Pausing replication is an experiment of AWS's fault injection only.
    S3BucketTag "s3:BucketTag" Text Named Sometimes
    S3DestinationRegion "s3:destinationRegion" Text Single Never
    S3InventoryAccessibleOptionalFields "s3:InventoryAccessibleOptionalFields" Text Multi Sometimes
    S3IsReplicationPauseRequest "s3:isReplicationPauseRequest" Bool Single Never
    S3LocationConstraint "s3:locationconstraint" Text Single Sometimes
    S3ResourceAccount "s3:ResourceAccount" Text Single Sometimes

    // Access points. There are no access grants, so no credentials came from one.
    S3AccessGrantScope "s3:AccessGrantScope" Text Single Never
    S3AccessGrantsInstanceArn "s3:AccessGrantsInstanceArn" Arn Single Never
    S3AccessGrantsLocationScope "s3:AccessGrantsLocationScope" Text Single Never
    S3AccessPointNetworkOrigin "s3:AccessPointNetworkOrigin" Text Single Sometimes
    S3AccessPointTag "s3:AccessPointTag" Text Named Sometimes
    S3DataAccessPointAccount "s3:DataAccessPointAccount" Text Single Sometimes
    S3DataAccessPointArn "s3:DataAccessPointArn" Arn Single Sometimes

    // Signing.
    S3AuthType "s3:authType" Text Single Sometimes
    S3SignatureAge "s3:signatureAge" Number Single Sometimes
    S3SignatureVersion "s3:signatureversion" Text Single Sometimes
    S3TlsVersion "s3:TlsVersion" Number Single Sometimes

    // Batch jobs, which can't be made here.
    S3ExistingJobOperation "s3:ExistingJobOperation" Text Single Never
    S3ExistingJobPriority "s3:ExistingJobPriority" Number Single Never
    S3JobSuspendedCause "s3:JobSuspendedCause" Text Single Never
    S3RequestJobOperation "s3:RequestJobOperation" Text Single Never
    S3RequestJobPriority "s3:RequestJobPriority" Number Single Never

    // IAM.
    IamPassedToService "iam:PassedToService" Text Single Sometimes
    IamPermissionsBoundary "iam:PermissionsBoundary" Arn Single Sometimes
    IamPolicyArn "iam:PolicyARN" Arn Single Sometimes
    IamResourceTag "iam:ResourceTag" Text Named Sometimes

    // STS.
    StsDurationSeconds "sts:DurationSeconds" Number Single Sometimes
    StsExternalId "sts:ExternalId" Text Single Sometimes
    StsRoleSessionName "sts:RoleSessionName" Text Single Sometimes
    StsSourceIdentity "sts:SourceIdentity" Text Single Sometimes
    StsTransitiveTagKeys "sts:TransitiveTagKeys" Text Multi Sometimes

    // KMS.
    KmsBypassPolicyLockoutSafetyCheck "kms:BypassPolicyLockoutSafetyCheck" Bool Single Sometimes
    KmsCallerAccount "kms:CallerAccount" Text Single Sometimes
    KmsEncryptionAlgorithm "kms:EncryptionAlgorithm" Text Single Sometimes
    KmsEncryptionContext "kms:EncryptionContext" Text Named Sometimes
    KmsEncryptionContextKeys "kms:EncryptionContextKeys" Text Multi Sometimes
    KmsGrantIsForAwsResource "kms:GrantIsForAWSResource" Bool Single Sometimes
    KmsKeyOrigin "kms:KeyOrigin" Text Single Sometimes
    KmsKeySpec "kms:KeySpec" Text Single Sometimes
    KmsKeyUsage "kms:KeyUsage" Text Single Sometimes
    KmsRequestAlias "kms:RequestAlias" Text Single Sometimes
    KmsResourceAliases "kms:ResourceAliases" Text Multi Sometimes
    KmsScheduleKeyDeletionPendingWindowInDays "kms:ScheduleKeyDeletionPendingWindowInDays" Number Single Sometimes
    KmsViaService "kms:ViaService" Text Single Sometimes
}

/// A set of keys.
pub type KeySet = Bits<2>;

// Every key has its bit.
const _: () = assert!(TABLE.len() <= 128);

static BY_NAME: LazyLock<HashMap<String, ConditionKey>> =
    LazyLock::new(|| TABLE.iter().map(|row| (row.name.to_ascii_lowercase(), row.key)).collect());

impl ConditionKey {
    /// The name as AWS writes it, without what a policy appends to it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The key called `text`, whatever the case, and the name that follows if the key takes one: a tag's, mostly.
    /// Claims of identity providers are not told apart from unknown keys here.
    pub fn named(text: &str) -> Option<(ConditionKey, Option<&str>)> {
        // Of all keys, only this one has a colon before the name that follows.
        const CONTEXT: &str = "kms:encryptioncontext:";
        let (base, name) = match text.get(..CONTEXT.len()) {
            Some(start) if start.eq_ignore_ascii_case(CONTEXT) => {
                (&text[..CONTEXT.len() - 1], Some(&text[CONTEXT.len()..]))
            }
            _ => text.split_once('/').map_or((text, None), |(base, name)| (base, Some(name))),
        };
        let key = *BY_NAME.get(&base.to_ascii_lowercase())?;
        let is_complete = match key {
            ConditionKey::Claim => false,
            _ if key.shape() == Shape::Named => name.is_some_and(|name| !name.is_empty()),
            _ => name.is_none(),
        };
        is_complete.then_some((key, name))
    }

    /// The request header whose value this key is, if it is that simple.
    pub fn header(self) -> Option<&'static str> {
        let name = self.name().strip_prefix("s3:")?;
        (name.starts_with("x-amz-") || name.starts_with("if-")).then_some(name)
    }

    /// What its values are.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// How many values it can have.
    pub fn shape(self) -> Shape {
        self.row().shape
    }

    /// Whether a request can have it at all.
    pub fn presence(self) -> Presence {
        self.row().presence
    }

    /// Its place in a `KeySet`.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Every key of the table.
    pub fn all() -> impl Iterator<Item = ConditionKey> {
        TABLE.iter().map(|row| row.key)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}
