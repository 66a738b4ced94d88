//! What exporters tell beside flows, as lines for people: templates and options.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ipfix::{Decoded, Field, MessageDetails, Protocol, Registry, Template, VARIABLE_LENGTH};

use super::exporters::Sender;

/// Templates that were shown, so that each is shown once, and again when it has changed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    templates: HashMap<(Sender, u16), Arc<Template>>,
}

/// Templates remembered; beyond that all of them are forgotten, and shown again.
const MAX_TEMPLATES: usize = 16_384;

impl Shown {
    /// Lines for the templates of a message's Data Sets that are new, and for its options.
    pub(super) fn lines(&mut self, sender: Sender, decoded: &Decoded<'_>) -> String {
        let mut text = String::new();
        if decoded.header().protocol == Protocol::NetflowV5 {
            // It has neither.
            return text;
        }
        for set in decoded.data_sets() {
            let template = set.template();
            self.template(sender, template, &mut text);
            if !template.is_options() {
                continue;
            }
            for record in set.records().flatten() {
                // What a file says of its own messages is no exporter's.
                if MessageDetails::of(&record).is_some() {
                    continue;
                }
                // Writing to a String cannot fail.
                let _ = write!(text, "options of {}:", sender.name());
                for value in record.values() {
                    let _ = write!(text, " {}={}", element(value.field()), value.typed());
                }
                text.push('\n');
            }
        }
        text
    }

    fn template(&mut self, sender: Sender, template: &Arc<Template>, text: &mut String) {
        let key = (sender, template.id());
        if let Some(known) = self.templates.get_mut(&key) {
            if Arc::ptr_eq(known, template) {
                return;
            }
            let same = known == template;
            known.clone_from(template);
            if same {
                return;
            }
        } else {
            if self.templates.len() >= MAX_TEMPLATES {
                self.templates.clear();
            }
            self.templates.insert(key, template.clone());
        }
        let kind = if template.is_options() {
            "options template"
        } else {
            "template"
        };
        let _ = write!(text, "{kind} {} of {}:", template.id(), sender.name());
        for (place, field) in template.fields().iter().enumerate() {
            let scope = if place < template.scope_fields() {
                "scope "
            } else {
                ""
            };
            let comma = if place == 0 { "" } else { "," };
            let _ = write!(text, "{comma} {scope}{}", element(field));
            let _ = match field.length() {
                VARIABLE_LENGTH => write!(text, "/variable"),
                octets => write!(text, "/{octets}"),
            };
        }
        text.push('\n');
    }
}

/// An element's name, or its number.
fn element(field: &Field) -> String {
    if let Some(element) = field.element() {
        return element.name().to_owned();
    }
    match field.registry() {
        Registry::Iana => format!("element {}", field.id()),
        Registry::Enterprise(number) => format!("element {} of enterprise {number}", field.id()),
        Registry::NetflowV9Scope => format!("scope {}", field.id()),
    }
}

#[cfg(test)]
mod tests {
    use ipfix::{Decoder, DecoderLimits};

    use super::*;

    #[test]
    fn templates_are_shown_once_and_when_they_change_and_options_each_time() {
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut shown = Shown::default();
        let mut sequence = 0;
        let mut show = |sets: &[u8], records: u8| {
            let length = u8::try_from(16 + sets.len()).unwrap();
            let mut message = vec![
                0, 10, 0, length, 0x6b, 5, 0, 0, 0, 0, 0, sequence, 0, 0, 0, 7,
            ];
            message.extend(sets);
            sequence += records;
            let decoded = decoder.decode(&(), &message).unwrap();
            let source = "192.0.2.1:40000".parse().unwrap();
            let sender = Sender::of(source, decoded.header());
            shown.lines(sender, &decoded)
        };
        // sourceIPv4Address, interfaceName of any length, element 1 of enterprise 9.
        let template = [
            0, 2, 0, 24, 1, 0, 0, 3, 0, 8, 0, 4, 0, 82, 0xff, 0xff, 0x80, 1, 0, 2, 0, 0, 0, 9,
        ];
        let data = [1, 0, 0, 13, 192, 0, 2, 9, 2, b'l', b'o', 1, 2];
        // Scope observationDomainId, samplingInterval.
        let options_template = [0, 3, 0, 18, 1, 1, 0, 2, 0, 1, 0, 149, 0, 1, 0, 34, 0, 1];
        let options = [1, 1, 0, 6, 7, 10];
        assert_eq!(show(&template, 0), "");
        assert_eq!(
            show(&data, 1),
            "template 256 of 192.0.2.1:40000, IPFIX, domain 7: sourceIPv4Address/4, \
             interfaceName/variable, element 1 of enterprise 9/2\n"
        );
        assert_eq!(show(&data, 1), "");
        assert_eq!(show(&template, 0), "");
        assert_eq!(show(&data, 1), "");
        show(&options_template, 0);
        let told = "options of 192.0.2.1:40000, IPFIX, domain 7: observationDomainId=7 \
                    samplingInterval=10\n";
        assert_eq!(
            show(&options, 1),
            format!(
                "options template 257 of 192.0.2.1:40000, IPFIX, domain 7: scope \
                 observationDomainId/1, samplingInterval/1\n{told}"
            )
        );
        assert_eq!(show(&options, 1), told);
        // octetDeltaCount alone.
        show(&[0, 2, 0, 12, 1, 0, 0, 1, 0, 1, 0, 1], 0);
        assert_eq!(
            show(&[1, 0, 0, 5, 1], 1),
            "template 256 of 192.0.2.1:40000, IPFIX, domain 7: octetDeltaCount/1\n"
        );
    }
}
