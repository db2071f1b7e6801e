//! A set of bytes, in as little room as it takes.

/// Some of the 256 bytes, one bit each.
#[derive(Clone, Copy)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// Those of which this is so, by the byte.
    pub(super) const fn of(is_in: &[bool; 256]) -> Self {
        let mut bits = [0; 4];
        let mut byte = 0;
        while byte < 256 {
            if is_in[byte] {
                bits[byte / 64] |= 1 << (byte % 64);
            }
            byte += 1;
        }
        Self(bits)
    }

    /// These.
    pub(super) const fn from(bytes: &[u8]) -> Self {
        let mut is_in = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            is_in[bytes[at] as usize] = true;
            at += 1;
        }
        Self::of(&is_in)
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    pub(super) fn add(&mut self, bytes: impl IntoIterator<Item = u8>) {
        for byte in bytes {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_added_and_nothing_else() {
        let mut set = ByteSet::from(b"\0?@");
        set.add([127, 128, 255]);
        let all: Vec<_> = (0..=u8::MAX).filter(|byte| set.has(*byte)).collect();
        assert_eq!(all, [0, b'?', b'@', 127, 128, 255]);
    }
}
