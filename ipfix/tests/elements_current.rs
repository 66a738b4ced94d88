//! The generated element table is what the committed snapshot of the registry says.

#[path = "../examples/generate_elements.rs"]
mod generate_elements;

use ipfix::elements;

#[test]
fn committed_file_is_what_the_generator_writes() {
    let wanted = generate_elements::generate(include_str!("../iana/ipfix.csv")).unwrap();
    let committed = include_str!("../src/elements.rs");
    let differing = wanted
        .lines()
        .zip(committed.lines())
        .enumerate()
        .find(|(_, (wanted, committed))| wanted != committed);
    assert!(
        wanted == committed,
        "src/elements.rs is not current (first difference: {differing:?}); run `cargo run -p ipfix --example generate_elements`"
    );
}

#[test]
fn every_row_is_found_by_id_and_by_name() {
    let mut rows = 0;
    for line in include_str!("../iana/ipfix.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let id: u16 = fields[0].parse().unwrap();
        if fields[2].is_empty() {
            assert_eq!(elements::by_id(id), None);
            continue;
        }
        let element = elements::by_id(id).unwrap();
        assert_eq!(element.id(), id);
        assert_eq!(element.name(), fields[1]);
        assert_eq!(element.data_type().name(), fields[2]);
        assert_eq!(element.units(), fields[4]);
        let range = elements::range(element).map(|range| {
            let (least, most) = range.into_inner();
            [format!("{least}-{most}"), format!("{least}-0x{most:X}")]
        });
        match range {
            None => assert_eq!(fields[5], ""),
            Some(either) => assert!(either.contains(&fields[5].to_owned()), "{line}"),
        }
        assert_eq!(
            elements::range(&element.reverse()),
            elements::range(element)
        );
        assert_eq!(elements::by_name(fields[1]), Some(element));
        rows += 1;
    }
    assert_eq!(rows, elements::ALL.len());
    assert_eq!(elements::by_id(0x7fff), None);
    assert_eq!(elements::by_name("sourceIpv4Address"), None);
    assert_eq!(elements::by_name(""), None);
}

#[test]
fn a_broken_snapshot_is_refused() {
    for (csv, part) in [
        ("id\n1,octetDeltaCount,unsigned64\n", "line 2: 3 fields"),
        ("id\nx,a,unsigned8,,,,current\n", "line 2: id \"x\""),
        (
            "id\n2,a,unsigned8,,,,current\n1,b,unsigned8,,,,current\n",
            "line 3: id 1 is out of order",
        ),
        (
            "id\n1,aB,unsigned8,,,,current\n2,a_b,unsigned8,,,,current\n",
            "constant of another",
        ),
        ("id\n1,a,unsigned8,,,9-1,current\n", "line 2: range \"9-1\""),
    ] {
        let error = generate_elements::generate(csv).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
