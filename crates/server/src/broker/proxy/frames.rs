//! Where messages end in what a WebSocket server sends (RFC 6455, section 5.2).

/// Follows the frames of one direction.
#[derive(Default)]
pub(super) struct Frames {
    /// What is known of the header of the frame that is coming.
    header: Vec<u8>,
    /// So much of its payload is still to come, in bytes.
    left: u64,
    is_last: bool,
}

/// A server must not mask what it sends (RFC 6455, section 5.1); what is masked cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masked;

impl Frames {
    /// How much of `bytes` belongs to the message that is coming, and whether it ends there.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<(usize, bool), Masked> {
        let mut taken = 0;
        while taken < bytes.len() {
            if self.left == 0 {
                self.header.push(bytes[taken]);
                taken += 1;
                let Some(length) = self.payload()? else { continue };
                self.is_last = self.header[0] & 0x80 != 0;
                self.left = length;
                self.header.clear();
            } else {
                let here =
                    usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - taken);
                taken += here;
                self.left -= here as u64;
            }
            if self.left == 0 && self.is_last {
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }

    /// The length of the payload, once the header is whole.
    fn payload(&self) -> Result<Option<u64>, Masked> {
        let Some(second) = self.header.get(1) else { return Ok(None) };
        if second & 0x80 != 0 {
            return Err(Masked);
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            length => return Ok(Some(length.into())),
        };
        let Some(length) = self.header.get(2..2 + extended) else { return Ok(None) };
        Ok(Some(length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each message is, however it comes.
    fn messages(bytes: &[u8], chunk: usize) -> Result<Vec<Vec<u8>>, Masked> {
        let (mut frames, mut all, mut one) = (Frames::default(), vec![], vec![]);
        for mut part in bytes.chunks(chunk) {
            while !part.is_empty() {
                let (taken, ends) = frames.next(part)?;
                one.extend_from_slice(&part[..taken]);
                part = &part[taken..];
                if ends {
                    all.push(std::mem::take(&mut one));
                }
            }
        }
        Ok(all)
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(u8::try_from(length).unwrap()),
            length @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn messages_end_where_their_last_frames_end_however_they_come() {
        let whole = [
            frame(0x81, b"one"),
            frame(0x89, b""),
            [frame(0x01, &[b'a'; 126]), frame(0x80, b"z")].concat(),
            frame(0x82, &[b'b'; 70_000]),
        ];
        for chunk in [1, 2, 7, 1000, 100_000] {
            assert_eq!(messages(&whole.concat(), chunk).unwrap(), whole, "{chunk}");
        }
    }

    #[test]
    fn what_is_masked_is_refused() {
        assert_eq!(messages(&[0x81, 0x83, 1, 2, 3, 4, 5, 6, 7], 3), Err(Masked));
    }
}
