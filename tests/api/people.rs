//! Those who ask, besides the store's root: users of its account and the root of another.

use serde_json::Value;

use crate::support::{Answer, Fixture, Raw};

/// Some callers of one server.
pub struct People {
    /// A user of the store's account who may do everything in S3.
    pub allowed: Raw,
    /// One who may do nothing, unless a test allows it.
    pub denied: Raw,
    /// What that one is called.
    pub denied_name: String,
    /// The root of another account.
    pub other: Raw,
    /// The id of that account.
    pub other_account: String,
    root: Raw,
}

impl People {
    /// Makes them.
    pub async fn of(fixture: &Fixture) -> People {
        let root = fixture.raw.clone();
        let (other_account, other) = account(&root, "other").await;
        let (allowed, denied) = (user(&root, "allowed").await, user(&root, "denied").await);
        let people = People { allowed, denied, denied_name: "denied".to_owned(), other, other_account, root };
        people.allow("allowed", r#""Action":"s3:*","Resource":"*""#).await;
        people
    }

    /// Gives a user the one policy that allows what `statement` says.
    pub async fn allow(&self, user: &str, statement: &str) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{statement}}}]}}"#);
        let document = encoded(&document);
        let form = format!("Action=PutUserPolicy&UserName={user}&PolicyName=only&PolicyDocument={document}");
        call(&self.root, "iam", &form).await.is(200);
    }
}

/// Makes an account, and gives its id and its root.
pub async fn account(root: &Raw, name: &str) -> (String, Raw) {
    let target = format!("/-/admin/v1/accounts/create?name={name}&email={name}%40example.com");
    let made = root.request("POST", &target).send().await.is(200);
    let made: Value = serde_json::from_slice(&made.body).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (access_key, secret_key) = (text(&made["keys"]["access_key"]), text(&made["keys"]["secret_key"]));
    (text(&made["id"]), Raw { access_key, secret_key, ..root.clone() })
}

/// Makes a user of the root's account who has keys, and no policy.
pub async fn user(root: &Raw, name: &str) -> Raw {
    call(root, "iam", &format!("Action=CreateUser&UserName={name}")).await.is(200);
    let made = call(root, "iam", &format!("Action=CreateAccessKey&UserName={name}")).await.is(200);
    let text = |name: &str| made.element(name).expect("a key");
    Raw { access_key: text("AccessKeyId"), secret_key: text("SecretAccessKey"), ..root.clone() }
}

/// Sends a form to one of the query APIs.
pub async fn call(raw: &Raw, service: &'static str, form: &str) -> Answer {
    let draft = raw.request("POST", "/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    draft.service(service).body(form.to_owned() + "&Version=2010-05-08").send().await
}

/// A text as a form carries it.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
