//! Documents and their faults, row by row, and documents that come back as they were sent.

use strata_storage::{Lifecycle, TransitionMinimum};

use super::read;
use crate::op::bucket_lifecycle::answer;

const MALFORMED: (&str, &str) =
    ("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema");

fn document(rules: &str) -> String {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
}

/// A rule in force with an empty filter.
fn rule(inside: &str) -> String {
    format!("<Rule><Filter/><Status>Enabled</Status>{inside}</Rule>")
}

fn expires(days: &str) -> String {
    format!("<Expiration><Days>{days}</Days></Expiration>")
}

fn moves(days: &str, class: &str) -> String {
    format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
}

fn moves_old(days: &str, class: &str) -> String {
    let inside = format!("<NoncurrentDays>{days}</NoncurrentDays><StorageClass>{class}</StorageClass>");
    format!("<NoncurrentVersionTransition>{inside}</NoncurrentVersionTransition>")
}

fn expires_old(days: &str) -> String {
    format!("<NoncurrentVersionExpiration><NoncurrentDays>{days}</NoncurrentDays></NoncurrentVersionExpiration>")
}

fn dated(date: &str) -> String {
    format!("<Expiration><Date>{date}</Date></Expiration>")
}

fn filtered(filter: &str, inside: &str) -> String {
    format!("<Rule><Filter>{filter}</Filter><Status>Enabled</Status>{inside}</Rule>")
}

fn prefixed(prefix: &str, inside: &str) -> String {
    format!("<Rule><Prefix>{prefix}</Prefix><Status>Enabled</Status>{inside}</Rule>")
}

const MARKER: &str = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
const ABORT: &str = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
                     </AbortIncompleteMultipartUpload>";
const TAG: &str = "<Tag><Key>k</Key><Value>v</Value></Tag>";

/// Checks code and message of a configuration that is refused.
fn refused(rules: &str, (code, message): (&str, &str)) {
    let error = read(document(rules).as_bytes()).expect_err(rules);
    assert_eq!((error.status.as_u16(), error.code, error.message.as_ref()), (400, code, message), "{rules}");
}

fn accepted(rules: &str) {
    if let Err(error) = read(document(rules).as_bytes()) {
        panic!("{rules}: {error:?}");
    }
}

#[test]
fn shapes() {
    let check = |rules: &str| refused(rules, MALFORMED);
    // Unknown elements and attributes of the wrong kind.
    check("<Other/>");
    let whole = document(&rule(&expires("1")));
    for root in ["Foo", "LifecycleConfigurations", "Lifecycle", "LifecycleConfiguration.x"] {
        let error = read(whole.replace("LifecycleConfiguration", root).as_bytes()).expect_err(root);
        assert_eq!((error.code, error.message.as_ref()), MALFORMED, "{root}");
    }
    let space = "LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    let named = whole.replacen("LifecycleConfiguration", space, 1);
    assert!(read(format!("<?xml version=\"1.0\"?><!-- one -->\n{named}").as_bytes()).is_ok());
    let prefixed = whole.replace("<Life", "<s3:Life").replace("</Life", "</s3:Life");
    assert!(read(prefixed.as_bytes()).is_ok());
    check(&rule("<Other/>"));
    check(&rule(&expires("soon")));
    check(&rule(&expires("")));
    check(&rule(&expires("1.5")));
    check(&rule(&expires("99999999999")));
    check(&rule(&expires("1")).replace("<Days>", "<Days>1</Days><Days>"));
    // Neither Filter nor Prefix; no Status, or another.
    check("<Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>");
    check("<Rule><Filter/><Expiration><Days>1</Days></Expiration></Rule>");
    for status in ["", "enabled", "ENABLED", " Enabled", "On"] {
        check(&rule(&expires("1")).replace(">Enabled<", &format!(">{status}<")));
    }
    // Filters with several predicates side by side, And of too few.
    for filter in [
        format!("<Prefix>a</Prefix>{TAG}"),
        "<Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan>".to_owned(),
        "<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan>".to_owned(),
        format!("{TAG}{TAG}"),
        format!("<Prefix>a</Prefix><And><Prefix>a</Prefix>{TAG}</And>"),
        "<And/>".to_owned(),
        "<And><Prefix>a</Prefix></And>".to_owned(),
        format!("<And>{TAG}</And>"),
        format!("<And><Prefix>a</Prefix><Prefix>b</Prefix>{TAG}</And>"),
        format!("<And><Prefix>a</Prefix>{TAG}</And><And><Prefix>a</Prefix>{TAG}</And>"),
        "<Tag><Value>v</Value></Tag>".to_owned(),
        "<ObjectSizeLessThan>x</ObjectSizeLessThan>".to_owned(),
        "<Not/>".to_owned(),
    ] {
        check(&filtered(&filter, &expires("1")));
    }
    check(&rule(&expires("1")).replace("<Filter/>", "<Filter/><Filter/>"));
    // Actions.
    for action in [
        "<Expiration/>".to_owned(),
        "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>".to_owned(),
        "<Expiration><Days>1</Days><Date>2026-12-31T00:00:00Z</Date></Expiration>".to_owned(),
        "<Expiration><ExpiredObjectDeleteMarker>maybe</ExpiredObjectDeleteMarker></Expiration>".to_owned(),
        dated("tomorrow"),
        dated("9999-01-01T00:00:00Z"),
        format!("{}{}", expires("1"), expires("2")),
        "<Transition><StorageClass>GLACIER</StorageClass></Transition>".to_owned(),
        "<Transition><Days>1</Days></Transition>".to_owned(),
        moves("1", "GLACIER").replace("<Days>", "<Date>2026-12-31</Date><Days>"),
        moves("1", "STANDARD"),
        moves("1", "REDUCED_REDUNDANCY"),
        moves("1", "glacier"),
        moves("1", "EXPRESS_ONEZONE"),
        "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionTransition>".to_owned(),
        "<NoncurrentVersionTransition><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>".to_owned(),
        "<NoncurrentVersionExpiration/>".to_owned(),
        "<NoncurrentVersionExpiration><NewerNoncurrentVersions>5</NewerNoncurrentVersions>\
         </NoncurrentVersionExpiration>"
            .to_owned(),
        moves_old("1", "GLACIER").replace("Transition>", "Expiration>"),
        "<AbortIncompleteMultipartUpload/>".to_owned(),
    ] {
        check(&rule(&action));
    }
}

#[test]
fn shape_comes_before_values() {
    let fault = rule(&expires("0"));
    refused(&fault, ("InvalidArgument", "'Days' for Expiration action must be a positive integer"));
    refused(&format!("{fault}<Rule/>"), MALFORMED);
    // Of several values the first is blamed.
    let rules = format!("{fault}{}", rule(&expires_old("0")));
    refused(&rules, ("InvalidArgument", "'Days' for Expiration action must be a positive integer"));
}

#[test]
fn days() {
    for days in ["0", "-1"] {
        let positive = |inside: &str, name: &str, action: &str| {
            let message = format!("'{name}' for {action} action must be a positive integer");
            refused(&rule(inside), ("InvalidArgument", &message));
        };
        positive(&expires(days), "Days", "Expiration");
        positive(&expires_old(days), "NoncurrentDays", "NoncurrentVersionExpiration");
        let abort = ABORT.replace('7', days);
        positive(&abort, "DaysAfterInitiation", "AbortIncompleteMultipartUpload");
    }
    let negative = ("InvalidArgument", "'Days' for Transition action must be nonnegative");
    refused(&rule(&moves("-1", "GLACIER")), negative);
    let negative = ("InvalidArgument", "'NoncurrentDays' for NoncurrentVersionTransition action must be nonnegative");
    refused(&rule(&moves_old("-1", "GLACIER")), negative);
    for class in ["STANDARD_IA", "ONEZONE_IA"] {
        let short = |action: &str, name: &str| {
            format!("'{name}' in {action} action must be greater than or equal to 30 for storageClass '{class}'")
        };
        for days in ["0", "29"] {
            refused(&rule(&moves(days, class)), ("InvalidArgument", &short("Transition", "Days")));
            let message = short("NoncurrentVersionTransition", "NoncurrentDays");
            refused(&rule(&moves_old(days, class)), ("InvalidArgument", &message));
        }
        accepted(&rule(&moves("30", class)));
        accepted(&rule(&moves_old("30", class)));
    }
    for class in ["INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"] {
        accepted(&rule(&moves("0", class)));
        accepted(&rule(&moves_old("0", class)));
    }
    accepted(&rule(&expires("2147483647")));
}

#[test]
fn dates() {
    let not_midnight = ("InvalidArgument", "'Date' must be at midnight GMT");
    for date in ["2026-12-31T00:00:01Z", "2026-12-31T12:00:00.000Z", "2026-12-31T00:00:00+01:00"] {
        refused(&rule(&dated(date)), not_midnight);
        refused(&rule(&moves("0", "GLACIER").replace("<Days>0</Days>", &format!("<Date>{date}</Date>"))), not_midnight);
        let error = read(document(&rule(&dated(date))).as_bytes()).expect_err("not midnight");
        assert_eq!(error.fields, [("ArgumentName", "Date".to_owned()), ("ArgumentValue", date.to_owned())]);
    }
    for date in ["2026-12-31T00:00:00.000Z", "2026-12-31T00:00:00Z", "2026-12-31", "2026-12-31T01:00:00+01:00"] {
        accepted(&rule(&dated(date)));
    }
}

#[test]
fn actions_of_one_rule() {
    let check = |inside: &str, code: &str, message: &str| refused(&rule(inside), (code, message));
    check("", "InvalidRequest", "At least one action needs to be specified in a rule");
    let twice = format!("{}{}", moves("30", "GLACIER"), moves("60", "GLACIER"));
    let message = "'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=)'";
    check(&twice, "InvalidRequest", message);
    let twice = format!("{}{}", moves_old("30", "GLACIER"), moves_old("60", "GLACIER"));
    let message = "'StorageClass' must be different for 'NoncurrentVersionTransition' actions in same 'Rule' with \
                   filter '(prefix=)'";
    check(&twice, "InvalidRequest", message);
    let mixed = format!("{}{}", moves("30", "GLACIER"), dated("2026-12-31"));
    let message = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter \
                   '(prefix=)'";
    check(&mixed, "InvalidRequest", message);
    accepted(&rule(&format!("{}{}", dated("2026-12-31"), expires_old("3"))));
    // Expiration after every transition.
    for days in ["29", "30"] {
        let message = "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the \
                       Transition action";
        check(&format!("{}{}", moves("30", "GLACIER"), expires(days)), "InvalidArgument", message);
        let message = "'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '(prefix=)' must be \
                       greater than 'NoncurrentDays' in the NoncurrentVersionTransition action";
        check(&format!("{}{}", moves_old("30", "GLACIER"), expires_old(days)), "InvalidArgument", message);
    }
    let by_date = moves("0", "GLACIER").replace("<Days>0</Days>", "<Date>2026-12-31</Date>");
    let message =
        "'Date' in the Expiration action for filter '(prefix=)' must be greater than 'Date' in the Transition action";
    check(&format!("{by_date}{}", dated("2026-12-31")), "InvalidArgument", message);
    accepted(&rule(&format!("{by_date}{}", dated("2027-01-01"))));
    accepted(&rule(&format!("{}{}", moves("30", "GLACIER"), expires("31"))));
    // Those of which more are kept may move before they end.
    let newer = "</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>";
    let kept = expires_old("10").replace("</NoncurrentDays>", newer);
    accepted(&rule(&format!("{}{kept}", moves_old("30", "GLACIER"))));
}

#[test]
fn least_days_in_a_class() {
    fn check(first: (&str, u32), second: &str, least: u32) {
        let (class, day) = first;
        for (write, action, name) in [
            (moves as fn(&str, &str) -> String, "Transition", "Days"),
            (moves_old, "NoncurrentVersionTransition", "NoncurrentDays"),
        ] {
            let pair = |later: u32| {
                // The order in the document does not count.
                format!("{}{}", write(&later.to_string(), second), write(&day.to_string(), class))
            };
            accepted(&rule(&pair(day + least)));
            if least > 0 {
                let message = format!(
                    "'{name}' in the {action} action for StorageClass '{second}' for filter '(prefix=)' must be at \
                     least {least} days greater than '{name}' in the {action} action for StorageClass '{class}'"
                );
                refused(&rule(&pair(day + least - 1)), ("InvalidArgument", &message));
            }
        }
    }
    check(("GLACIER_IR", 4), "DEEP_ARCHIVE", 90);
    check(("GLACIER", 4), "DEEP_ARCHIVE", 90);
    check(("STANDARD_IA", 30), "GLACIER", 30);
    check(("ONEZONE_IA", 30), "DEEP_ARCHIVE", 30);
    check(("INTELLIGENT_TIERING", 0), "GLACIER", 0);
    let pair = format!("{}{}", moves("4", "GLACIER_IR"), moves("93", "DEEP_ARCHIVE"));
    assert!(read(document(&rule(&pair)).as_bytes()).is_err());
    // Two rules may do it earlier.
    accepted(&format!("{}{}", rule(&moves("4", "GLACIER_IR")), rule(&moves("5", "DEEP_ARCHIVE"))));
}

#[test]
fn no_class_leads_back_up() {
    fn check(colder: &str, warmer: &str) {
        for (write, action, name) in [
            (moves as fn(&str, &str) -> String, "Transition", "Days"),
            (moves_old, "NoncurrentVersionTransition", "NoncurrentDays"),
        ] {
            let pair = format!("{}{}", write("230", warmer), write("30", colder));
            let message = format!(
                "'{name}' in the {action} action for StorageClass '{colder}' for filter '(prefix=)' must be greater than \
                 '{name}' in the {action} action for StorageClass '{warmer}'"
            );
            refused(&rule(&pair), ("InvalidArgument", &message));
            // Two rules may be about different objects.
            accepted(&format!("{}{}", rule(&write("230", warmer)), rule(&write("30", colder))));
        }
    }
    check("GLACIER", "STANDARD_IA");
    check("DEEP_ARCHIVE", "GLACIER");
    check("GLACIER", "INTELLIGENT_TIERING");
    check("INTELLIGENT_TIERING", "STANDARD_IA");
    check("ONEZONE_IA", "STANDARD_IA");
    check("GLACIER_IR", "ONEZONE_IA");
    accepted(&rule(&format!("{}{}", moves("30", "INTELLIGENT_TIERING"), moves("60", "GLACIER_IR"))));
}

#[test]
fn filters() {
    let check = |filter: &str, inside: &str, code: &str, message: &str| {
        refused(&filtered(filter, inside), (code, message));
    };
    let (expire, sized) = (expires("1"), "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>");
    check(&format!("<And>{TAG}{TAG}</And>"), &expire, "InvalidRequest", "Duplicate Tag Keys are not allowed.");
    let message = "AbortIncompleteMultipartUpload cannot be specified with Tags.";
    check(TAG, ABORT, "InvalidRequest", message);
    check(&format!("<And><Prefix>a</Prefix>{TAG}</And>"), ABORT, "InvalidRequest", message);
    check(sized, ABORT, "InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Object Size.");
    check(sized, MARKER, "InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Object Size.");
    check(TAG, MARKER, "InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.");
    let less = |bytes: &str| format!("<ObjectSizeLessThan>{bytes}</ObjectSizeLessThan>");
    for bytes in ["0", "-1", "1099511627776001"] {
        let message = "'ObjectSizeLessThan' should be between 1 and 1099511627776000.";
        check(&less(bytes), &expire, "InvalidRequest", message);
    }
    let message = "'ObjectSizeGreaterThan' should be between 0 and 1099511627776000.";
    check(&sized.replace('5', "-1"), &expire, "InvalidRequest", message);
    for bytes in ["4", "5"] {
        let message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.";
        check(&format!("<And>{sized}{}</And>", less(bytes)), &expire, "InvalidRequest", message);
    }
    accepted(&filtered(&format!("<And>{sized}{}</And>", less("6")), &expire));
    accepted(&filtered(&sized.replace('5', "0"), &expire));
    let long = "<Prefix>p</Prefix>".replace('p', &"p".repeat(1025));
    check(&long, &expire, "InvalidRequest", "The maximum size of a prefix is 1024.");
    let bad = TAG.replace('k', "&lt;");
    check(&bad, &expire, "InvalidTag", "The TagKey you have provided is invalid");
    accepted(&filtered("<Tag><Key>k</Key></Tag>", &expire));
    for inside in [ABORT, MARKER] {
        accepted(&filtered("<Prefix>a</Prefix>", inside));
    }
}

#[test]
fn newer_versions() {
    let old = |newer: &str| {
        format!(
            "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>{newer}\
             </NewerNoncurrentVersions></NoncurrentVersionExpiration>"
        )
    };
    for newer in ["0", "-1", "101"] {
        let message =
            "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be an integer between 1 and 100";
        refused(&rule(&old(newer)), ("InvalidArgument", message));
    }
    for newer in ["1", "100"] {
        accepted(&rule(&old(newer)));
    }
    let message = "NewerNoncurrentVersions element can only be used in Lifecycle V2.";
    refused(&prefixed("a", &old("1")), ("InvalidRequest", message));
}

#[test]
fn editions() {
    let (first, second) = (prefixed("a", &expires("1")), rule(&expires("1")));
    let base = (
        "InvalidRequest",
        "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
    );
    refused(&format!("{first}{second}"), ("InvalidRequest", "Filter element can only be used in Lifecycle V2."));
    refused(&format!("{second}{first}"), base);
    refused(&second.replace("<Filter/>", "<Filter/><Prefix>a</Prefix>"), base);
    accepted(&first);
    for (one, other, shown) in [("", "a", ["", "a"]), ("a/b", "a", ["a", "a/b"]), ("a", "a", ["a", "a"])] {
        for (inside, action) in [
            (expires("1"), "Expiration"),
            (moves("1", "GLACIER"), "Transition"),
            (expires_old("1"), "NoncurrentVersionExpiration"),
            (moves_old("1", "GLACIER"), "NoncurrentVersionTransition"),
            (ABORT.to_owned(), "AbortIncompleteMultipartUpload"),
        ] {
            let [shorter, longer] = shown;
            let message =
                format!("Found overlapping prefixes '{shorter}' and '{longer}' for same action type '{action}'");
            let rules = format!("{}{}", prefixed(one, &inside), prefixed(other, &inside));
            refused(&rules, ("InvalidRequest", &message));
        }
        accepted(&format!("{}{}", prefixed(one, &expires("1")), prefixed(other, ABORT)));
        let with_filters = |prefix: &str| filtered(&format!("<Prefix>{prefix}</Prefix>"), &expires("1"));
        accepted(&format!("{}{}", with_filters(one), with_filters(other)));
        let disabled = prefixed(other, &expires("1")).replace("Enabled", "Disabled");
        accepted(&format!("{}{disabled}", prefixed(one, &expires("1"))));
    }
    accepted(&format!("{}{}", prefixed("a", &expires("1")), prefixed("b", &expires("1"))));
}

#[test]
fn ids() {
    let named = |id: &str| rule(&format!("<ID>{id}</ID>{}", expires("1")));
    let long = "ü".repeat(256);
    refused(&named(&long), ("InvalidArgument", "ID length should not exceed allowed limit of 255"));
    accepted(&named(&"ü".repeat(255)));
    let message = "Rule ID must be unique. Found same ID for more than one rule";
    refused(&format!("{}{}", named("a"), named("a")), ("InvalidArgument", message));
    accepted(&format!("{}{}", named("a"), named("A")));
    // Those to be made are not the same.
    accepted(&format!("{}{}", rule(&expires("1")), named("")));
}

#[test]
fn numbers_of_rules() {
    refused("", ("InvalidRequest", "At least one lifecycle rule must be specified."));
    let rules = rule(&expires("1")).repeat(1000);
    accepted(&rules);
    let message = "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.";
    refused(&format!("{rules}{}", rule(&expires("1"))), ("InvalidRequest", message));
}

#[test]
fn documents_come_back() {
    fn check(sent: &str, expected: &str) {
        let rules = read(document(sent).as_bytes()).expect(sent);
        let text = answer::write(&Lifecycle { rules, minimum: TransitionMinimum::default() });
        let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LifecycleConfiguration \
                     xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
        assert_eq!(text, format!("{start}{expected}</LifecycleConfiguration>"));
        // And once more, from what was answered.
        assert_eq!(
            read(text.as_bytes()).expect("an answer is a valid request"),
            read(document(sent).as_bytes()).expect(sent)
        );
    }
    let rule = |inside: &str| format!("<Rule><ID>r</ID>{inside}</Rule>");
    let enabled = |filter: &str| rule(&format!("{filter}<Status>Enabled</Status>{}", expires("1")));
    let same = |filter: &str| check(&enabled(filter), &enabled(filter));
    check(&enabled("<Filter/>"), &enabled("<Filter></Filter>"));
    same("<Prefix></Prefix>");
    same("<Prefix>logs/</Prefix>");
    same("<Filter><Prefix></Prefix></Filter>");
    same("<Filter><Prefix>a&amp;b</Prefix></Filter>");
    same(&format!("<Filter>{TAG}</Filter>"));
    same("<Filter><Tag><Key>k</Key><Value></Value></Tag></Filter>");
    same("<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>");
    same("<Filter><ObjectSizeLessThan>10</ObjectSizeLessThan></Filter>");
    same(&format!("<Filter><And><Prefix></Prefix>{TAG}</And></Filter>"));
    same(&format!("<Filter><And>{TAG}{}</And></Filter>", TAG.replace('k', "l")));
    // Every action, in any order, is given back in one.
    let transitions = format!("{}{}", moves("0", "INTELLIGENT_TIERING"), moves("90", "GLACIER"));
    let older = moves_old("30", "STANDARD_IA")
        .replace("<StorageClass>", "<NewerNoncurrentVersions>3</NewerNoncurrentVersions><StorageClass>");
    let ended = expires_old("90");
    let disabled = "<Status>Disabled</Status>";
    let expire = expires("365");
    check(
        &format!("<Rule>{ABORT}{ended}{older}{expire}{transitions}{disabled}<ID>r</ID><Filter/></Rule>"),
        &rule(&format!("<Filter></Filter>{disabled}{transitions}{expire}{older}{ended}{ABORT}")),
    );
    let interleaved = format!("{}{ended}{}{older}", moves("0", "INTELLIGENT_TIERING"), moves("90", "GLACIER"));
    check(
        &format!("<Rule>{interleaved}{disabled}<ID>r</ID><Filter/></Rule>"),
        &rule(&format!("<Filter></Filter>{disabled}{transitions}{older}{ended}")),
    );
    // Line ends and indentation between elements and around numbers are no content.
    let indented = expire.replace('<', "\n  <").replace("365", "\n 365 ");
    check(
        &format!("\n<Rule>\n  <ID>r</ID><Filter>\n  </Filter>\n<Status>Enabled</Status>{indented}\n</Rule>\n"),
        &enabled("<Filter></Filter>").replace(&expires("1"), &expire),
    );
    let marker =
        |text: &str| rule(&format!("<Filter></Filter><Status>Enabled</Status>{}", MARKER.replace("true", text)));
    check(&marker("true"), &marker("true"));
    check(&marker("false"), &marker("false"));
    let on = |date: &str| rule(&format!("<Filter></Filter><Status>Enabled</Status>{}", dated(date)));
    check(&on("2026-12-31"), &on("2026-12-31T00:00:00.000Z"));
    assert_eq!(
        read(
            document("<Rule><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>")
                .as_bytes()
        )
        .expect("valid")
        .len(),
        1
    );
}
