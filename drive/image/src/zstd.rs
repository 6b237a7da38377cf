//! Packing by Zstandard (RFC 8878). The compressor takes what it can hold as a whole, so a file is packed piece by piece, each a
//! frame of its own: every tool that reads Zstandard reads frames behind each other.

use std::io::{self, Write};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// How much goes into a frame, in bytes.
const PIECE: usize = 8 << 20;

/// Packs what is written to it. [`Zstd::finish`] writes what is left.
pub(crate) struct Zstd<W> {
    to: W,
    piece: Vec<u8>,
}

impl<W: Write> Zstd<W> {
    pub(crate) fn new(to: W) -> Zstd<W> {
        Zstd { to, piece: Vec::with_capacity(PIECE) }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.pack()?;
        self.to.flush()
    }

    fn pack(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.to.write_all(&compress_to_vec(&*self.piece, CompressionLevel::Fastest))?;
            self.piece.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Zstd<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.pack()?;
        }
        let fits = bytes.get(..PIECE - self.piece.len()).unwrap_or(bytes);
        self.piece.extend_from_slice(fits);
        Ok(fits.len())
    }

    /// What does not fill a frame yet waits.
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::oci::Frames;

    #[test]
    fn what_is_packed_is_unpacked() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 12_345] {
            let bytes: Vec<u8> = (0..length).map(|at| ((at / 7) ^ (at >> 9)) as u8).collect();
            let mut packed = Vec::new();
            let mut packer = Zstd::new(&mut packed);
            bytes.chunks(100_003).for_each(|chunk| packer.write_all(chunk).unwrap());
            packer.finish().unwrap();
            let mut unpacked = Vec::new();
            Frames::new(&*packed).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == bytes, "{length}");
        }
    }
}
