// SPDX-License-Identifier: Apache-2.0
//! Reads a trace, line by line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::riscv::{AccessKind, CsrError, Csrs, Privilege, Xlen};
use crate::format::{Format, fits};
use crate::memory::HostMemory;
use crate::mmu::{Access, Context, Fence, VMID_WIDTH};
use crate::shown;

/// Blocks of memory ([`HostMemory::blocks`]) that a replay keeps: the words of 256 MiB of tables.
pub(super) const MOST_BLOCKS: usize = 1 << 19;
/// Maximum number of contexts of a trace.
const MOST_CONTEXTS: u64 = 1 << 20;
/// Maximum number of operations of a trace that is replayed on the RTL. Each takes about 70 bytes.
pub(super) const MOST_OPS: usize = 1 << 23;

/// The first bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Maximum length of a line in bytes. A file that is not a trace can be one very long line.
const LONGEST_LINE: usize = 1 << 16;

/// A trace cannot be read, or contains something that a trace cannot contain.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be opened or read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The error in the line.
        problem: Problem,
    },
}

/// An error in a line of a trace, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The compressed file ends early.
    #[error("the zstd data ends in the middle of a frame: the file is truncated; fetch it again")]
    Truncated,
    /// The compressed file is damaged.
    #[error("the zstd data is damaged ({0}); fetch the file again")]
    Damaged(String),
    /// A line without an end.
    #[error("a line of more than {LONGEST_LINE} bytes: this is not a trace")]
    TooLong,
    /// The file does not begin with its header.
    #[error(
        "a trace begins with its header, \"H 1 64 svnapot svpbmt svadu h\"; this line is {0:?}"
    )]
    NoHeader(String),
    /// A second header.
    #[error("a second header: a trace has one, in the first line")]
    SecondHeader,
    /// A version of the format that is not known.
    #[error("version {0} of the trace format; this program reads version 1")]
    Version(String),
    /// Not a trace of RV64.
    #[error("XLEN {0}; this program replays traces of XLEN 64")]
    Xlen(String),
    /// The line of no record.
    #[error(
        "unknown record {0:?}: the records are H, C, M, A, W, F and E, each followed by a space"
    )]
    UnknownRecord(String),
    /// A record is too short.
    #[error("{record} has no field {field}: {}", .record.fields())]
    MissingField {
        /// The record.
        record: RecordKind,
        /// The first field that is missing.
        field: &'static str,
    },
    /// A record is too long.
    #[error("{record} ends before {text:?}: {}", .record.fields())]
    ExtraField {
        /// The record.
        record: RecordKind,
        /// The surplus text.
        text: String,
    },
    /// A field is not a number.
    #[error(
        "{field} is {text:?}, which is not a number: numbers are lowercase hexadecimal, without \
         0x, of at most 64 bits"
    )]
    BadNumber {
        /// The field.
        field: &'static str,
        /// The text that was found.
        text: String,
    },
    /// A number is too large for its field.
    #[error("{field} is {value:x}; it is at most {most:x}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The value that was found.
        value: u64,
        /// The largest legal value.
        most: u64,
    },
    /// An address that no word can have.
    #[error(
        "{0:x} is not the address of a word: an address is a multiple of 8, and at most 56 bits \
         wide"
    )]
    BadAddress(u64),
    /// The type of an access.
    #[error("unknown access type {0:?}: the types are r, w, x, hlv, hlvx and hsv")]
    UnknownAccess(String),
    /// The kind of a fence.
    #[error(
        "unknown fence {0:?}: the fences are sfence.vma, sinval.vma, hfence.vvma, hinval.vvma, \
         hfence.gvma, hinval.gvma, sfence.w.inval and sfence.inval.ir"
    )]
    UnknownFence(String),
    /// The result of an access.
    #[error("the result is {0:?}: a result is =pa of a translation, or !cause of an exception")]
    BadResult(String),
    /// The exception of an access.
    #[error(
        "cause {0:x} is not an exception of an address translation: these are 1, 5, 7, c, d, f, \
         14, 15 and 17 (hexadecimal)"
    )]
    BadCause(u64),
    /// An unknown mark after an access.
    #[error("unknown mark {0:?} after an access: the marks are ~pa and ~!")]
    BadMark(String),
    /// An access uses a context that has not been defined.
    #[error("context {number:x} is not defined; number of defined contexts: {defined:x}")]
    UndefinedContext {
        /// Its number.
        number: u64,
        /// Number of contexts that are defined.
        defined: usize,
    },
    /// A context that is there already.
    #[error("context {0:x} is defined a second time; a new context has the next number")]
    RedefinedContext(u64),
    /// A context whose number is not the next.
    #[error("context {number:x} is defined; the next number is {next:x}")]
    ContextOrder {
        /// Its number.
        number: u64,
        /// The number that would be right.
        next: usize,
    },
    /// A root register with an illegal value.
    #[error("{0}")]
    Csr(#[from] CsrError),
    /// The root of the G-stage is not where it can be.
    #[error(
        "hgatp is {0:x}, but the root table of the G-stage is a multiple of 16 KiB: the low two \
         bits of its PPN are 0"
    )]
    BadHostRoot(u64),
    /// A context uses an extension that the header does not have.
    #[error("{field} is 1, but the header has no {extension}")]
    NoExtension {
        /// The field.
        field: &'static str,
        /// The extension.
        extension: &'static str,
    },
    /// HLV, HLVX or HSV in a context with V=0.
    #[error("{0} in context {1:x}, whose v is 0: such an access is made as if V were 1")]
    HypervisorAccess(String, u64),
    /// A fetch under MPRV.
    #[error("a fetch in context {0:x}, whose mprv is 1: MPRV acts on loads and stores only")]
    FetchUnderMprv(u64),
    /// A fence that traps.
    #[error("{0} with v 1: the instruction traps in a virtual machine, so it is not a fence there")]
    FenceTraps(String),
    /// An update that belongs to no access.
    #[error("a W line follows the A line of its access, or another W line of it")]
    UpdateOfNothing,
    /// More memory than a replay keeps.
    #[error(
        "the table words are in more than {MOST_BLOCKS} blocks of 512 bytes of memory, the most \
         that a replay keeps"
    )]
    TooMuchMemory,
    /// More contexts than a replay keeps.
    #[error("context {0:x}: a trace has at most {MOST_CONTEXTS:x} contexts")]
    TooManyContexts(u64),
    /// More lines than a replay on the RTL keeps.
    #[error(
        "the lines up to here need more than {MOST_OPS} steps of a run on the RTL, the most that a \
         replay keeps\n  \
         Replay the first lines with --limit N, or all of them with --golden-only."
    )]
    TooManyOps,
    /// The file ends without its trailer.
    #[error(
        "the file ends without its trailer, \"E nA nM nW nF nC insns insns_v fetches\": the file \
         is truncated"
    )]
    NoTrailer,
    /// Something follows the trailer.
    #[error("{0:?} after the trailer, which must be the last line")]
    AfterTrailer(String),
    /// The trailer does not fit the file.
    #[error("the trailer counts {trailer:x} {record} lines; the file has {found:x}")]
    WrongCount {
        /// Lines of which record.
        record: char,
        /// The number in the trailer.
        trailer: u64,
        /// The number that was found.
        found: u64,
    },
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The header.
    Header,
    /// A context.
    Context,
    /// A word of memory.
    Memory,
    /// An access.
    Access,
    /// An update of accessed and dirty bits.
    Update,
    /// A fence.
    Fence,
    /// A fence without operands.
    BareFence,
    /// The trailer.
    Trailer,
}

impl RecordKind {
    /// Returns its fields.
    fn fields(self) -> &'static str {
        match self {
            RecordKind::Header => "H 1 64 svnapot svpbmt svadu h",
            RecordKind::Context => {
                "C n v priv satp vsatp hgatp sum mxr vs_sum vs_mxr m_adue m_pbmte h_adue h_pbmte \
                 mprv"
            }
            RecordKind::Memory => "M addr value",
            RecordKind::Access => "A n type va =pa reads, or A n type va !cause tval2 tinst reads",
            RecordKind::Update => "W addr value",
            RecordKind::Fence => "F kind v vmid rs1 rs2",
            RecordKind::BareFence => "F kind v vmid",
            RecordKind::Trailer => "E nA nM nW nF nC insns insns_v fetches",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordKind::Header => "the header",
            RecordKind::Context => "the context",
            RecordKind::Memory => "the word",
            RecordKind::Access => "the access",
            RecordKind::Update => "the update",
            RecordKind::Fence | RecordKind::BareFence => "the fence",
            RecordKind::Trailer => "the trailer",
        })
    }
}

/// The registers of the trap of a fault, as in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// xcause.
    pub cause: u8,
    /// htval or mtval2.
    pub tval2: u64,
    /// htinst or mtinst.
    pub tinst: u16,
}

/// An older result that a TLB may still give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// ` ~pa`: this translation, with no exception and no update.
    Translation(Hpa),
    /// ` ~!`: a page fault.
    PageFault,
}

/// An A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// Index into [`Reader::contexts`].
    pub context: usize,
    /// The access.
    pub access: Access,
    /// Its address.
    pub gva: Gva,
    /// The result of a fresh walk.
    pub result: Result<Hpa, Exception>,
    /// Table words that a fresh walk reads.
    pub reads: u64,
    /// Older results that are legal too.
    pub marks: Vec<Mark>,
}

/// A line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// C: [`Reader::contexts`] has one more.
    Context,
    /// M: a word of memory has this value from here on.
    Memory {
        /// The address.
        at: Hpa,
        /// The value.
        word: u64,
    },
    /// A: an access.
    Access(AccessLine),
    /// W: the walk of the access above has set accessed and dirty bits.
    Update {
        /// The address.
        at: Hpa,
        /// The whole word.
        word: u64,
    },
    /// F: a fence; none for an instruction that only orders, and invalidates nothing.
    Fence(Option<Fence>),
}

/// Lines of each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// A lines.
    pub accesses: u64,
    /// M lines.
    pub words: u64,
    /// W lines.
    pub updates: u64,
    /// F lines.
    pub fences: u64,
    /// C lines.
    pub contexts: u64,
}

/// The header: which extensions there are.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    svnapot: bool,
    svpbmt: bool,
    svadu: bool,
    h: bool,
}

/// A reader of traces, compressed or not. It keeps the contexts, and no other lines.
pub struct Reader {
    file: String,
    input: BufReader<Box<dyn Read>>,
    text: Vec<u8>,
    line: u64,
    header: Header,
    contexts: Vec<Context>,
    /// For each context, true if its accesses are made under MPRV.
    mprv: Vec<bool>,
    counts: Counts,
    /// A W line may come.
    update_may_follow: bool,
    ended: bool,
}

impl Reader {
    /// Opens a trace and reads its header.
    ///
    /// # Errors
    /// If it cannot be read, or begins otherwise.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Read {
            file: shown::path(path),
            source,
        };
        let input = File::open(path).map_err(failed)?;
        Self::read(path, input)
    }

    /// Reads a trace from what `path` names, and its header.
    ///
    /// # Errors
    /// If it cannot be read, or begins otherwise.
    pub fn read(path: &Path, mut input: impl Read + 'static) -> Result<Self, TraceError> {
        let file = shown::path(path);
        let failed = |source| TraceError::Read {
            file: shown::path(path),
            source,
        };
        let mut magic = Vec::new();
        Read::by_ref(&mut input)
            .take(ZSTD_MAGIC.len() as u64)
            .read_to_end(&mut magic)
            .map_err(failed)?;
        let is_zstd = magic == ZSTD_MAGIC;
        let whole = Cursor::new(magic).chain(input);
        let input: Box<dyn Read> = if is_zstd {
            Box::new(zstd::stream::read::Decoder::new(whole).map_err(failed)?)
        } else {
            Box::new(whole)
        };
        let mut reader = Self {
            file,
            input: BufReader::with_capacity(1 << 17, input),
            text: Vec::new(),
            line: 0,
            header: Header::default(),
            contexts: Vec::new(),
            mprv: Vec::new(),
            counts: Counts::default(),
            update_may_follow: false,
            ended: false,
        };
        if !reader.next_line(is_zstd)? {
            reader.line = 1;
            return Err(reader.wrong(Problem::NoHeader(String::new())));
        }
        reader.header = header(&reader.text).map_err(|problem| reader.wrong(problem))?;
        Ok(reader)
    }

    /// Returns the contexts that have been defined; context 1 is the first.
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// Returns the line of the record that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns the text of that line.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Returns the numbers of lines read so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the next record; none after the trailer.
    ///
    /// # Errors
    /// If a line cannot be read, or is wrong.
    pub fn next_record(&mut self) -> Result<Option<Record>, TraceError> {
        if self.ended {
            return Ok(None);
        }
        // An input that is not compressed gives no errors of the decompressor.
        if !self.next_line(true)? {
            self.line += 1;
            return Err(self.wrong(Problem::NoTrailer));
        }
        match self.record() {
            Ok(Some(record)) => Ok(Some(record)),
            Ok(None) => {
                self.ended = true;
                if self.next_line(true)? {
                    let text = shown(&self.text);
                    return Err(self.wrong(Problem::AfterTrailer(text)));
                }
                Ok(None)
            }
            Err(problem) => Err(self.wrong(problem)),
        }
    }

    /// Puts a word of the trace into memory.
    ///
    /// # Errors
    /// If that is more than a replay keeps.
    pub(super) fn write(
        &self,
        memory: &mut HostMemory,
        at: Hpa,
        word: u64,
    ) -> Result<(), TraceError> {
        memory.write(at, word);
        match memory.blocks() > MOST_BLOCKS {
            true => Err(self.wrong(Problem::TooMuchMemory)),
            false => Ok(()),
        }
    }

    pub(super) fn wrong(&self, problem: Problem) -> TraceError {
        TraceError::Line {
            file: self.file.clone(),
            line: self.line,
            problem,
        }
    }

    /// Reads a line; false at the end of the file.
    fn next_line(&mut self, is_zstd: bool) -> Result<bool, TraceError> {
        self.text.clear();
        let mut limited = Read::by_ref(&mut self.input).take(LONGEST_LINE as u64);
        let result = limited.read_until(b'\n', &mut self.text);
        self.line += 1;
        match result {
            Ok(0) => {
                self.line -= 1;
                Ok(false)
            }
            Ok(_) => {
                if self.text.last() == Some(&b'\n') {
                    self.text.pop();
                } else if self.text.len() == LONGEST_LINE {
                    return Err(self.wrong(Problem::TooLong));
                }
                Ok(true)
            }
            Err(error) if is_zstd && error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.wrong(Problem::Truncated))
            }
            // The decompressor has no error kind of its own for a truncated frame.
            Err(error) if is_zstd && error.raw_os_error().is_none() => {
                Err(self.wrong(Problem::Damaged(error.to_string())))
            }
            Err(source) => Err(TraceError::Read {
                file: self.file.clone(),
                source,
            }),
        }
    }

    /// Takes the line apart; none for a trailer.
    #[inline]
    fn record(&mut self) -> Result<Option<Record>, Problem> {
        let text = std::mem::take(&mut self.text);
        let result = self.record_of(&text);
        self.text = text;
        result
    }

    fn record_of(&mut self, text: &[u8]) -> Result<Option<Record>, Problem> {
        let (kind, rest) = match text {
            [kind, b' ', rest @ ..] => (*kind, rest),
            _ => return Err(Problem::UnknownRecord(shown(text))),
        };
        let after_access = std::mem::replace(&mut self.update_may_follow, false);
        Ok(Some(match kind {
            b'A' => {
                let access = self.access(rest)?;
                self.counts.accesses += 1;
                self.update_may_follow = true;
                Record::Access(access)
            }
            b'M' => {
                let (at, word) = word(RecordKind::Memory, rest)?;
                self.counts.words += 1;
                Record::Memory { at, word }
            }
            b'W' => {
                let (at, word) = word(RecordKind::Update, rest)?;
                if !after_access {
                    return Err(Problem::UpdateOfNothing);
                }
                self.counts.updates += 1;
                self.update_may_follow = true;
                Record::Update { at, word }
            }
            b'F' => {
                let fence = fence(rest)?;
                self.counts.fences += 1;
                Record::Fence(fence)
            }
            b'C' => {
                let (context, mprv) = self.context(rest)?;
                self.counts.contexts += 1;
                self.contexts.push(context);
                self.mprv.push(mprv);
                Record::Context
            }
            b'E' => {
                self.trailer(rest)?;
                return Ok(None);
            }
            b'H' => return Err(Problem::SecondHeader),
            _ => return Err(Problem::UnknownRecord(shown(text))),
        }))
    }

    #[inline]
    fn access(&self, rest: &[u8]) -> Result<AccessLine, Problem> {
        let mut fields = Fields::new(RecordKind::Access, rest);
        let number = fields.number("n")?;
        let context = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1))
            .filter(|&index| index < self.contexts.len())
            .ok_or(Problem::UndefinedContext {
                number,
                defined: self.contexts.len(),
            })?;
        let kind = fields.text("type")?;
        let access = match kind {
            b"r" | b"hlv" => Access::Load,
            b"w" | b"hsv" => Access::Store,
            b"x" => Access::Fetch,
            b"hlvx" => Access::LoadExecute,
            other => return Err(Problem::UnknownAccess(shown(other))),
        };
        if kind.starts_with(b"h") && !self.contexts[context].virt {
            return Err(Problem::HypervisorAccess(shown(kind), number));
        }
        if access == Access::Fetch && self.mprv[context] {
            return Err(Problem::FetchUnderMprv(number));
        }
        let gva = Gva(fields.number("va")?);
        let result = match fields.text("=pa or !cause")? {
            [b'=', pa @ ..] => Ok(Hpa(at_most(
                "pa",
                number_of("pa", pa)?,
                Format::Rv64.geometry().hpa_width,
            )?)),
            [b'!', cause @ ..] => {
                let cause = number_of("cause", cause)?;
                Err(Exception {
                    cause: match cause {
                        1 | 5 | 7 | 12 | 13 | 15 | 20 | 21 | 23 => cause as u8,
                        _ => return Err(Problem::BadCause(cause)),
                    },
                    tval2: fields.number("tval2")?,
                    tinst: at_most("tinst", fields.number("tinst")?, 16)? as u16,
                })
            }
            other => return Err(Problem::BadResult(shown(other))),
        };
        let reads = fields.number("reads")?;
        let mut marks = Vec::new();
        while let Some(mark) = fields.next() {
            marks.push(match mark {
                b"~!" => Mark::PageFault,
                [b'~', pa @ ..] => Mark::Translation(Hpa(at_most(
                    "pa behind ~",
                    number_of("pa behind ~", pa)?,
                    Format::Rv64.geometry().hpa_width,
                )?)),
                other => return Err(Problem::BadMark(shown(other))),
            });
        }
        Ok(AccessLine {
            context,
            access,
            gva,
            result,
            reads,
            marks,
        })
    }

    /// Returns the context, and whether its accesses are made under MPRV.
    fn context(&self, rest: &[u8]) -> Result<(Context, bool), Problem> {
        let mut fields = Fields::new(RecordKind::Context, rest);
        let number = fields.number("n")?;
        let next = self.contexts.len() + 1;
        if number != next as u64 {
            return Err(if (1..next as u64).contains(&number) {
                Problem::RedefinedContext(number)
            } else {
                Problem::ContextOrder { number, next }
            });
        }
        if number > MOST_CONTEXTS {
            return Err(Problem::TooManyContexts(number));
        }
        let virt = fields.bit("v")?;
        let supervisor = fields.bit("priv")?;
        let satp = fields.number("satp")?;
        let vsatp = fields.number("vsatp")?;
        let hgatp = fields.number("hgatp")?;
        let sum = fields.bit("sum")?;
        let mxr = fields.bit("mxr")?;
        let vs_sum = fields.bit("vs_sum")?;
        let vs_mxr = fields.bit("vs_mxr")?;
        let m_adue = fields.bit("m_adue")?;
        let m_pbmte = fields.bit("m_pbmte")?;
        let h_adue = fields.bit("h_adue")?;
        let h_pbmte = fields.bit("h_pbmte")?;
        let mprv = fields.bit("mprv")?;
        fields.end()?;
        let header = &self.header;
        for (field, set, extension, there) in [
            ("m_adue", m_adue, "Svadu", header.svadu),
            ("h_adue", h_adue, "Svadu", header.svadu),
            ("m_pbmte", m_pbmte, "Svpbmt", header.svpbmt),
            ("h_pbmte", h_pbmte, "Svpbmt", header.svpbmt),
            ("v", virt, "H extension", header.h),
        ] {
            if set && !there {
                return Err(Problem::NoExtension { field, extension });
            }
        }
        let csrs = Csrs {
            xlen: Xlen::X64,
            satp,
            vsatp,
            hgatp,
            privilege: match supervisor {
                true => Privilege::Supervisor,
                false => Privilege::User,
            },
            virt,
            mxr,
            sum,
            // The modes in the context are already those that MPRV and SPVP select.
            mprv: false,
            mpp: Privilege::User,
            mpv: false,
            vs_mxr,
            vs_sum,
            spvp: false,
            hu: false,
            m_adue,
            m_pbmte,
            h_adue,
            h_pbmte,
            svnapot: header.svnapot,
            svpbmt: header.svpbmt,
            svadu: header.svadu,
        };
        let context = csrs.context(AccessKind::Load)?;
        if context.host.levels > 0 && hgatp & 3 != 0 {
            return Err(Problem::BadHostRoot(hgatp));
        }
        Ok((context, mprv))
    }

    fn trailer(&self, rest: &[u8]) -> Result<(), Problem> {
        let mut fields = Fields::new(RecordKind::Trailer, rest);
        let counts = &self.counts;
        for (record, field, found) in [
            ('A', "nA", counts.accesses),
            ('M', "nM", counts.words),
            ('W', "nW", counts.updates),
            ('F', "nF", counts.fences),
            ('C', "nC", counts.contexts),
        ] {
            let trailer = fields.number(field)?;
            if trailer != found {
                return Err(Problem::WrongCount {
                    record,
                    trailer,
                    found,
                });
            }
        }
        for field in ["insns", "insns_v", "fetches"] {
            fields.number(field)?;
        }
        fields.end()
    }
}

fn header(text: &[u8]) -> Result<Header, Problem> {
    let Some(rest) = text.strip_prefix(b"H ") else {
        return Err(Problem::NoHeader(shown(text)));
    };
    let mut fields = Fields::new(RecordKind::Header, rest);
    match fields.text("version")? {
        b"1" => {}
        other => return Err(Problem::Version(shown(other))),
    }
    match fields.text("XLEN")? {
        b"64" => {}
        other => return Err(Problem::Xlen(shown(other))),
    }
    let header = Header {
        svnapot: fields.bit("svnapot")?,
        svpbmt: fields.bit("svpbmt")?,
        svadu: fields.bit("svadu")?,
        h: fields.bit("h")?,
    };
    fields.end()?;
    Ok(header)
}

/// Returns the address and value of an M or W line.
fn word(record: RecordKind, rest: &[u8]) -> Result<(Hpa, u64), Problem> {
    let mut fields = Fields::new(record, rest);
    let at = fields.number("addr")?;
    let word = fields.number("value")?;
    fields.end()?;
    if at % 8 != 0 || !fits(at, Format::Rv64.geometry().hpa_width) {
        return Err(Problem::BadAddress(at));
    }
    Ok((Hpa(at), word))
}

fn fence(rest: &[u8]) -> Result<Option<Fence>, Problem> {
    let (kind, _) = split(rest);
    let is_bare = matches!(kind, b"sfence.w.inval" | b"sfence.inval.ir");
    let record = if is_bare {
        RecordKind::BareFence
    } else {
        RecordKind::Fence
    };
    let mut fields = Fields::new(record, rest);
    let by_gpa = match fields.text("kind")? {
        b"sfence.w.inval" | b"sfence.inval.ir" | b"sfence.vma" | b"sinval.vma" | b"hfence.vvma"
        | b"hinval.vvma" => false,
        b"hfence.gvma" | b"hinval.gvma" => true,
        other => return Err(Problem::UnknownFence(shown(other))),
    };
    let v = fields.bit("v")?;
    let vmid = at_most("vmid", fields.number("vmid")?, VMID_WIDTH)? as u16;
    if is_bare {
        fields.end()?;
        return Ok(None);
    }
    let rs1 = fields.operand("rs1")?;
    let rs2 = fields.operand("rs2")?;
    fields.end()?;
    if v && kind.starts_with(b"h") {
        return Err(Problem::FenceTraps(shown(kind)));
    }
    if by_gpa {
        // The gPA has 64 bits at most.
        let rs1 = rs1.map(|rs1| at_most("rs1", rs1, 62)).transpose()?;
        return Ok(Some(Fence {
            virt: true,
            gva: None,
            gpa: rs1.map(|rs1| Gpa(rs1 << 2)),
            asid: None,
            vmid: rs2.map(vmid_of),
        }));
    }
    let virt = v || kind.starts_with(b"h");
    Ok(Some(Fence {
        virt,
        gva: rs1.map(Gva),
        gpa: None,
        asid: rs2.map(|rs2| rs2 as u16),
        vmid: virt.then_some(vmid),
    }))
}

fn vmid_of(value: u64) -> u16 {
    (value & ((1 << VMID_WIDTH) - 1)) as u16
}

/// The fields of a record, one after the other.
struct Fields<'a> {
    record: RecordKind,
    /// The text that is left; none after the last field.
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    #[inline]
    fn new(record: RecordKind, rest: &'a [u8]) -> Self {
        Self {
            record,
            rest: Some(rest),
        }
    }

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (field, rest) = split(self.rest?);
        self.rest = rest;
        Some(field)
    }

    #[inline]
    fn text(&mut self, field: &'static str) -> Result<&'a [u8], Problem> {
        self.next().ok_or(Problem::MissingField {
            record: self.record,
            field,
        })
    }

    #[inline]
    fn number(&mut self, field: &'static str) -> Result<u64, Problem> {
        number_of(field, self.text(field)?)
    }

    /// Returns the value of a register, or none for x0.
    fn operand(&mut self, field: &'static str) -> Result<Option<u64>, Problem> {
        match self.text(field)? {
            b"-" => Ok(None),
            text => number_of(field, text).map(Some),
        }
    }

    fn bit(&mut self, field: &'static str) -> Result<bool, Problem> {
        Ok(at_most(field, self.number(field)?, 1)? != 0)
    }

    fn end(&mut self) -> Result<(), Problem> {
        match self.rest {
            None => Ok(()),
            Some(rest) => Err(Problem::ExtraField {
                record: self.record,
                text: shown(rest),
            }),
        }
    }
}

/// Returns the text up to the next space, and the text after it.
#[inline]
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == b' ') {
        Some(space) => (&text[..space], Some(&text[space + 1..])),
        None => (text, None),
    }
}

#[inline]
fn number_of(field: &'static str, text: &[u8]) -> Result<u64, Problem> {
    let mut value = 0u64;
    let mut right = (1..=16).contains(&text.len());
    for &byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => {
                right = false;
                break;
            }
        };
        value = value << 4 | u64::from(digit);
    }
    if !right {
        return Err(Problem::BadNumber {
            field,
            text: shown(text),
        });
    }
    Ok(value)
}

#[inline]
fn at_most(field: &'static str, value: u64, width: u32) -> Result<u64, Problem> {
    if fits(value, width) {
        return Ok(value);
    }
    Err(Problem::TooLarge {
        field,
        value,
        most: (1 << width) - 1,
    })
}

/// Escapes input for an error message, and cuts it.
fn shown(text: &[u8]) -> String {
    const MOST: usize = 60;
    let mut shown = String::from_utf8_lossy(&text[..text.len().min(MOST)]).into_owned();
    if text.len() > MOST {
        shown.push_str("...");
    }
    shown
}
