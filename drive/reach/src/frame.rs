//! What an agent writes back: frames of one letter, a length of four bytes (little end first), and that many bytes.

use std::io::{self, Write};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A line about the progress.
    Line(String),
    /// The answer: the last frame.
    Reply(Vec<u8>),
    /// The target could not be entered: what was being done, and what the system said.
    Refused(String, String),
    /// The server to enter has ended.
    Gone,
    /// There is no agent, on what kind of machine: what a shell says in an agent's place, never written by one.
    Missing(String),
}

/// Bytes that are no frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl Frame {
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let joined;
        let (letter, bytes): (u8, &[u8]) = match self {
            Frame::Line(line) => (b'l', line.as_bytes()),
            Frame::Reply(reply) => (b'r', reply),
            Frame::Refused(step, cause) => {
                joined = format!("{step}\0{cause}");
                (b'x', joined.as_bytes())
            }
            Frame::Gone | Frame::Missing(_) => (b'g', b""),
        };
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("an answer of over 4 GiB"))?;
        let mut head = vec![letter];
        head.extend_from_slice(&length.to_le_bytes());
        to.write_all(&head)?;
        to.write_all(bytes)?;
        to.flush()
    }
}

/// Puts frames together from bytes as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// The bytes before this were given out; they are dropped from time to time, not at each frame.
    used: usize,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.used > self.bytes.len() / 2 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Garbled> {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        let Some((&letter, rest)) = rest.split_first() else { return Ok(None) };
        if !matches!(letter, b'l' | b'r' | b'x' | b'g') {
            return Err(Garbled);
        }
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Garbled)?;
        let Some(bytes) = rest.get(..length) else { return Ok(None) };
        let text = || String::from_utf8_lossy(bytes).into_owned();
        let frame = match letter {
            b'l' => Frame::Line(text()),
            b'r' => Frame::Reply(bytes.to_vec()),
            b'x' => {
                let text = text();
                let (step, cause) = text.split_once('\0').ok_or(Garbled)?;
                Frame::Refused(step.to_owned(), cause.to_owned())
            }
            _ => Frame::Gone,
        };
        self.used += 5 + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let frames = [
            Frame::Line("installing nginx".into()),
            Frame::Line(String::new()),
            Frame::Refused("mount".into(), "no space".into()),
            Frame::Gone,
            Frame::Reply((0..=255).cycle().take(100_000).collect()),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        for size in [1, 2, 3, 7, 4096, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for part in bytes.chunks(size) {
                decoder.push(part);
                while let Some(frame) = decoder.next().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames, "in parts of {size}");
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let mut decoder = Decoder::default();
        decoder.push(b"Usage: sh [OPTION]");
        assert_eq!(decoder.next(), Err(Garbled));
    }
}
