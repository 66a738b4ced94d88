//! `ebpfix templates`.

use super::Failure;
use crate::cli::TemplatesArgs;
use crate::daemon::control::Question;
use serde_json::Value;
use std::fmt::Write as _;

/// Asks the exporter that runs, and prints the answer.
pub fn run(args: &TemplatesArgs) -> Result<(), Failure> {
    let question = Question::Templates {
        collector: args.collector.clone(),
    };
    let answer: Value = super::ask(&super::daemon_of(&args.config)?, question)?;
    let text = if args.json {
        format!("{answer}\n")
    } else {
        text(&answer)
    };
    super::print(&text)
}

fn text(answer: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for collector in list(answer) {
        let _ = writeln!(
            text,
            "{} ({})",
            word(&collector["collector"]),
            word(&collector["protocol"])
        );
        for template in list(&collector["templates"]) {
            let kind = if template["options"] == true {
                "options template"
            } else {
                "template"
            };
            let _ = writeln!(text, "  {kind} {}", template["id"]);
            for field in list(&template["fields"]) {
                let octets = match &field["octets"] {
                    Value::Null => "variable".to_owned(),
                    octets => octets.to_string(),
                };
                let _ = writeln!(
                    text,
                    "    {:<36} {:>5} {octets:>9}",
                    word(&field["name"]),
                    field["id"].to_string(),
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_are_shown_with_their_fields() {
        let answer = json!([
            {"collector": "noc", "protocol": "ipfix", "templates": [
                {"id": 256, "options": false, "fields": [
                    {"name": "sourceIPv4Address", "id": 8, "octets": 4},
                    {"name": "interfaceName", "id": 82, "octets": null},
                ]},
                {"id": 301, "options": true, "fields": []},
            ]},
            {"collector": "old", "protocol": "netflow-v5", "templates": []},
        ]);
        assert_eq!(
            text(&answer),
            "\
noc (ipfix)
  template 256
    sourceIPv4Address                        8         4
    interfaceName                           82  variable
  options template 301
old (netflow-v5)
"
        );
    }
}
