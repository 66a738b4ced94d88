"""Decodes messages with a package from PyPI and prints what it found, as JSON.

Usage: judge.py netflow|netflume < messages

Messages are in hex, one a line; so is the JSON. Field names are the package's own. All values are
text, since JSON's numbers are not made for 64 bits.
"""

import json
import sys


# What `netflow` calls every field that it has no name for.
NAMELESS = "UNKNOWN_FIELD_TYPE"


def main():
    judge = {"netflow": Netflow, "netflume": Netflume}[sys.argv[1]]()
    for line in sys.stdin:
        message = judge.decode(line.strip())
        for kind in ("flows", "options"):
            message[kind] = [
                {name: text(value) for name, value in record.items() if name != NAMELESS}
                for record in message[kind]
            ]
        print(json.dumps(message))


def text(value):
    return value.hex() if isinstance(value, bytes) else str(value)


class Netflow:
    def __init__(self):
        self.templates = {"netflow": {}, "ipfix": {}}
        self.options_templates = set()

    def decode(self, message):
        import netflow

        packet = netflow.parse_packet(message, self.templates)
        header = packet.header
        if header.version == 5:
            return {
                "version": 5,
                "sequence": header.sequence,
                "domain": header.engine_id,
                "time": header.timestamp,
                "uptime": header.uptime,
                "nanoseconds": header.timestamp_nano,
                "engine": header.engine_type,
                "sampling": header.sampling_interval,
                "flows": [flow.data for flow in packet.flows],
                "options": [],
            }
        if header.version == 9:
            return {
                "version": 9,
                "sequence": header.sequence,
                "domain": header.source_id,
                "time": header.timestamp,
                "uptime": header.uptime,
                "flows": [flow.data for flow in packet.flows],
                "options": [{**record.scopes, **record.data} for record in packet.options],
            }
        flows, options = [], []
        for part in packet.sets:
            if part.header.set_id == 3:
                self.options_templates.update(record.template_id for record in part.records)
            elif part.is_data:
                into = options if part.header.set_id in self.options_templates else flows
                into.extend(record.data for record in part.records)
        return {
            "version": 10,
            "sequence": header.sequence_number,
            "domain": header.obervation_domain_id,
            "time": header.export_uptime,
            "uptime": None,
            "flows": flows,
            "options": options,
        }


class Netflume:
    def __init__(self):
        import netflume

        self.decoder = netflume.Decoder()

    def decode(self, message):
        decoded = self.decoder.decode(bytes.fromhex(message), "192.0.2.1")
        # Gaps and what could not be decoded.
        news = ("TemplateLearned", "SamplingChange")
        events = self.decoder.take_events()
        trouble = [str(event) for event in events if type(event).__name__ not in news]
        if decoded is None:
            sys.exit(f"netflume decodes nothing: {trouble}")
        header = decoded.header
        return {
            "version": header["version"],
            "sequence": header["sequence"],
            "domain": header["domain"],
            "time": header["unix_secs"],
            "uptime": header["sys_uptime"],
            "flows": decoded.flows,
            "options": decoded.options,
            "trouble": trouble,
            "sampling": decoded.sampling_rate,
        }


main()
