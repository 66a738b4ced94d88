//! Writing allocates nothing, once the buffer has its size.

use ipfix::{
    Layout, NetflowV5Record, Protocol, Session, SessionOptions, TemplateSchedule, Written,
    elements as ie,
};

const NOW_MS: u64 = 1_795_536_000_250;

struct Flow {
    number: u64,
    name: String,
}

fn flows() -> Vec<Flow> {
    (0..100)
        .map(|number| Flow {
            number,
            name: "x".repeat(usize::try_from(number).unwrap()),
        })
        .collect()
}

fn layouts(protocol: Protocol) -> Vec<Layout<Flow>> {
    if protocol == Protocol::NetflowV5 {
        return vec![Layout::netflow_v5(|flow: &Flow, _| NetflowV5Record {
            packets: flow.number,
            ..NetflowV5Record::EMPTY
        })];
    }
    let counters = |id, protocol| {
        Layout::builder(protocol, id)
            .unsigned(ie::PACKET_DELTA_COUNT, 5, |flow: &Flow, _| flow.number)
            .text(ie::INTERFACE_NAME, 16, |flow| &flow.name)
            .uptime(ie::FLOW_END_SYS_UP_TIME, |flow| flow.number)
    };
    let mut layouts = vec![counters(256, protocol).build().unwrap()];
    if protocol == Protocol::Ipfix {
        let named = counters(257, protocol).variable_text(ie::INTERFACE_NAME, |flow| &flow.name);
        layouts.push(named.build().unwrap());
    }
    layouts
}

#[test]
fn writing_allocates_nothing() {
    let flows = flows();
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9, Protocol::NetflowV5] {
        let layouts = layouts(protocol);
        let mut session = Session::new(SessionOptions {
            templates: TemplateSchedule {
                every_messages: Some(3),
                ..TemplateSchedule::udp()
            },
            ..SessionOptions::udp(protocol, 1, 0)
        });
        for layout in &layouts {
            session.register(layout).unwrap();
        }
        let mut buffer = Vec::with_capacity(1400);
        let (mut records, mut templates) = (0, 0);
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                buffer.clear();
                let mut writer = session.begin(&mut buffer, NOW_MS);
                for layout in &layouts {
                    for flow in &flows[..3] {
                        assert_eq!(writer.write(layout, flow), Ok(Written::Done));
                    }
                }
                for layout in &layouts {
                    writer.write_all(layout, &flows).unwrap();
                }
                let message = writer.finish().unwrap();
                records += message.data_records();
                templates += message.templates();
                session.commit(message).unwrap();
            }
        });
        assert!(records >= 1_000, "{protocol}: {records}");
        assert_eq!(
            templates > 20,
            protocol != Protocol::NetflowV5,
            "{templates}"
        );
        assert_eq!(counted.count_total, 0, "{protocol}: {counted:?}");
        // The counter counts.
        let counted = allocation_counter::measure(|| drop(vec![0; records as usize]));
        assert_eq!(counted.count_total, 1);
    }
}
