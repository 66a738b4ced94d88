//! The headers of messages.

use super::MessageWriter;
use crate::wire::{Protocol, ipfix_header, low16, low32, put, v5_header, v9_header};

impl MessageWriter<'_> {
    /// The header, of whose octets the first [`Protocol::header_length`] count.
    pub(super) fn header(&self) -> [u8; MAX_HEADER_LENGTH] {
        let options = self.session.options();
        let mut header = [0; MAX_HEADER_LENGTH];
        put(&mut header, 0, &options.protocol.version().to_be_bytes());
        let sequence = self.session.sequence().to_be_bytes();
        let domain = options.observation_domain.to_be_bytes();
        let now_ms = self.context.export_time_ms;
        match options.protocol {
            Protocol::Ipfix => {
                let length = low16(self.at - self.start).to_be_bytes();
                let seconds = low32(now_ms / SECOND_MS).to_be_bytes();
                put(&mut header, ipfix_header::LENGTH_FIELD, &length);
                put(&mut header, ipfix_header::EXPORT_TIME, &seconds);
                put(&mut header, ipfix_header::SEQUENCE, &sequence);
                put(&mut header, ipfix_header::DOMAIN, &domain);
            }
            Protocol::NetflowV9 => {
                // Collectors compute the base of sysUptime as UNIX Secs minus sysUptime, and some
                // take a flow later than sysUptime for one from before the last wrap, 49.7 days ago.
                // So both fields speak of the same instant, the second that ends now or next.
                let seconds = now_ms.div_ceil(SECOND_MS);
                let uptime = self
                    .context
                    .uptime_ms(seconds.saturating_mul(SECOND_MS))
                    .to_be_bytes();
                let count = low16(
                    usize::try_from(self.data_records.saturating_add(self.templates))
                        .unwrap_or(usize::MAX),
                )
                .to_be_bytes();
                put(&mut header, v9_header::COUNT, &count);
                put(&mut header, v9_header::SYS_UPTIME, &uptime);
                put(
                    &mut header,
                    v9_header::UNIX_SECS,
                    &low32(seconds).to_be_bytes(),
                );
                put(&mut header, v9_header::SEQUENCE, &sequence);
                put(&mut header, v9_header::SOURCE_ID, &domain);
            }
            Protocol::NetflowV5 => {
                // To the millisecond: collectors compute the base of sysUptime from all three.
                let nanoseconds = low32(now_ms % SECOND_MS * NANOSECONDS_PER_MS).to_be_bytes();
                let seconds = low32(now_ms / SECOND_MS).to_be_bytes();
                let uptime = self.context.uptime_ms(now_ms).to_be_bytes();
                let count = low16(usize::try_from(self.data_records).unwrap_or(usize::MAX));
                let [_, _, engine @ ..] = domain;
                let sampling = self.session.sampling().to_wire();
                put(&mut header, v5_header::COUNT, &count.to_be_bytes());
                put(&mut header, v5_header::SYS_UPTIME, &uptime);
                put(&mut header, v5_header::UNIX_SECS, &seconds);
                put(&mut header, v5_header::UNIX_NSECS, &nanoseconds);
                put(&mut header, v5_header::SEQUENCE, &sequence);
                put(&mut header, v5_header::ENGINE, &engine);
                put(&mut header, v5_header::SAMPLING, &sampling.to_be_bytes());
            }
        }
        header
    }
}

const MAX_HEADER_LENGTH: usize = v5_header::LENGTH;
const SECOND_MS: u64 = 1000;
const NANOSECONDS_PER_MS: u64 = 1_000_000;
