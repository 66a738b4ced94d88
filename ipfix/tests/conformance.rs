//! `CONFORMANCE.md` is what the requirements and the tests say.

#[path = "../examples/conformance.rs"]
mod conformance;

use conformance::{Conformance, Evidence, mistakes, page, page_path, parse, read, shown_by_tests};

#[test]
fn the_page_is_current() {
    let wanted = page(&read().unwrap()).unwrap_or_else(|mistakes| panic!("\n{mistakes}"));
    if std::env::var_os("EBPFIX_UPDATE").is_some() {
        std::fs::write(page_path(), &wanted).unwrap();
    }
    let committed = std::fs::read_to_string(page_path()).unwrap();
    assert!(
        wanted == committed,
        "CONFORMANCE.md is not current; run the tests with EBPFIX_UPDATE=1 to write it anew"
    );
}

const SECTION: &str = "[[section]]\nid = \"7011/3.1\"\ntitle = \"Header\"\nwords = 1\n";

fn clause(name: &str, level: &str, status: &str) -> String {
    format!(
        "[[clause]]\nid = \"7011/3.1/{name}\"\nlevel = \"{level}\"\nbinds = \"both\"\n\
         requires = \"It is so.\"\nstatus = \"{status}\"\n"
    )
}

#[test]
fn what_cannot_be_right_in_the_requirements_is_refused() {
    let must = clause("a", "MUST", "shown");
    assert!(parse(&format!("{SECTION}{must}")).is_ok());
    for (text, part) in [
        (
            format!("clause = []\n{SECTION}"),
            "the section has 1 capital words, its clauses 0",
        ),
        (
            format!("{SECTION}{must}{must}"),
            "7011/3.1/a is there twice",
        ),
        (
            format!("{SECTION}{}", clause("a", "stated", "shown")),
            "the section has 1 capital words, its clauses 0",
        ),
        (
            format!("{SECTION}{}", clause("a", "MUST", "caller")),
            "7011/3.1/a: caller needs a note",
        ),
        (
            format!("{SECTION}{}", must.replace("3.1/a", "3.2/a")),
            "7011/3.2/a is in no section",
        ),
        (
            format!("{SECTION}{}", must.replace("so.", "so")),
            "\"It is so\" is no sentence",
        ),
        (
            format!("{SECTION}{}", must.replace("MUST", "SHALL")),
            "unknown variant",
        ),
    ] {
        let mistakes = parse(&text).unwrap_err();
        assert!(mistakes.contains(part), "{mistakes}");
    }
}

#[test]
fn a_shown_clause_needs_a_test_and_a_test_a_clause() {
    let of = |status: &str, evidence: &[&str]| {
        let note = "note = \"why\"\n";
        let text = format!("{SECTION}{}{note}", clause("a", "MUST", status));
        mistakes(&Conformance {
            document: parse(&text).unwrap(),
            evidence: evidence
                .iter()
                .map(|name| Evidence {
                    clause: format!("7011/3.1/{name}"),
                    file: "t.rs".to_owned(),
                    test: Some("f".to_owned()),
                })
                .collect(),
        })
    };
    assert!(of("shown", &["a"]).is_empty());
    assert!(of("caller", &["a"]).is_empty() && of("caller", &[]).is_empty());
    assert_eq!(of("shown", &[]), ["7011/3.1/a: no test shows it"]);
    assert_eq!(
        of("caller", &["b"]),
        ["t.rs::f: there is no clause 7011/3.1/b"]
    );
    assert_eq!(
        of("not done", &["a"]),
        ["t.rs::f: 7011/3.1/a is said to be not done"]
    );
}

#[test]
fn annotations_stand_over_tests() {
    let found = |source: &str| {
        shown_by_tests("t.rs", source).map(|evidence| {
            evidence
                .into_iter()
                .map(|one| format!("{} {}", one.clause, one.test.unwrap()))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        found(concat!(
            "    /// What it does.\n    ///\n    /// Show",
            "s 7011/3.1/a, 7011/3.1/b,\n    /// 7011/3.1/c.\n    /// More.\n    #[expect(\n        x\n    )]\n    ",
            "#[test]\n    fn good() {\n"
        )),
        Ok(["a", "b", "c"]
            .map(|name| format!("7011/3.1/{name} good"))
            .into())
    );
    let mark = concat!("/// Show", "s 7011/3.1/a");
    for (source, mistake) in [
        (
            format!("{mark}.\nfn helper() {{}}"),
            "t.rs:1: helper is no test",
        ),
        (
            format!("{mark}\n#[test]\nfn f() {{}}"),
            "t.rs:1: the list does not end with a full stop",
        ),
        (
            format!("\n{mark}.\n\n#[test]\nfn f() {{}}"),
            "t.rs:2: \"\" is no function",
        ),
        (format!("{mark}."), "t.rs:1: no function follows"),
    ] {
        assert_eq!(found(&source), Err(mistake.to_owned()));
    }
}
