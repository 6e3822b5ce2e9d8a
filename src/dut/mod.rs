// SPDX-License-Identifier: Apache-2.0
//! Devices under test: compiled RTL with a Rust interface to clock it.

mod bridge;
// Some items are used only by the build script.
#[allow(dead_code)]
mod build;
pub mod description;
mod event;
mod event_layout;
pub mod fields;
pub mod foreign;
pub mod library;
pub mod microarchitecture;
mod native;
pub mod rtl;
pub mod socket;
pub mod variants;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};

use cxx::UniquePtr;

use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::golden::occupancy::page_walk_cache::Entries;
use crate::mmu::{
    Fault, FaultKind, Fence, MemoryType, Outcome, Position, Purpose, Query, Translation, Trap,
    WalkCaches,
};
use crate::shown;
pub use bridge::ffi::{Inputs, Outputs};
use description::Description;
pub use event::{Done, Event, EventLayout, Miss, Next, Pass, Requests, WalkStep};
use foreign::ForeignError;
use library::LibraryError;
use variants::{IllegalParameter, Variant};

/// True if this build counts the code coverage of the RTL ([`Dut::write_coverage`]).
pub const COUNTS_CODE: bool = cfg!(nestwalk_coverage);

/// Ignores the signal SIGXFSZ. A later write past the limit on file sizes (RLIMIT_FSIZE) then fails
/// with an error, and does not end the process.
pub fn ignore_file_size_signal() {
    bridge::ffi::ignore_file_size_signal();
}

/// Returns true if [`Dut::new`] needs no build: the device is linked into the program, or this
/// process has built or loaded it.
pub fn is_ready(variant: &'static Variant) -> bool {
    is_compiled_in(variant) || library::is_loaded(variant)
}

/// Returns true if a device of the RTL in use is compiled into the program.
fn is_compiled_in(variant: &'static Variant) -> bool {
    rtl::is_carried() && bridge::ffi::is_built_in(variant.name)
}

/// A compiled device. One thread at a time may drive the device, and the device may move between
/// threads.
pub struct Dut {
    inner: UniquePtr<bridge::ffi::Dut>,
    variant: &'static Variant,
    /// The path of the shared object of the device; none if the device is linked into the program.
    object: Option<String>,
    seed: u32,
    layout: EventLayout,
}

/// The reason why a device cannot be created, or cannot continue.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DutError {
    /// An RTL assertion failed, or a file cannot be written.
    #[error("{0}")]
    Stopped(String),
    /// The device cannot be built or loaded.
    #[error(transparent)]
    Library(Arc<LibraryError>),
    /// No device has these parameters.
    #[error("no device has these parameters: {0}")]
    Illegal(#[from] IllegalParameter),
    /// There is no such foreign device, or it cannot be built or loaded.
    #[error(transparent)]
    Foreign(Arc<ForeignError>),
}

impl From<ForeignError> for DutError {
    fn from(error: ForeignError) -> Self {
        Self::Foreign(Arc::new(error))
    }
}

impl PartialEq for DutError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for DutError {}

impl From<LibraryError> for DutError {
    fn from(error: LibraryError) -> Self {
        Self::Library(Arc::new(error))
    }
}

/// The error in a response whose fields contradict each other, or have undefined values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MalformedResponse {
    /// The response is a translation, but has fault fields that are not 0.
    TranslationWithFaultFields,
    /// The response is a translation, but has trap fields that are not 0.
    TranslationWithTrapFields,
    /// The value of the memory type is undefined.
    UnknownMemoryType,
    /// The value of the fault kind is undefined. The field is the value.
    UnknownFaultKind(u8),
    /// The response is a fault, but has translation fields that are not 0.
    FaultWithTranslation,
    /// The response is a guest-stage fault, but has host-stage fields that are not 0.
    GuestFaultWithHostFields,
    /// The response is a host-stage fault of the data address, but names a guest level.
    DataFaultWithGuestLevel,
    /// The value of the purpose is undefined.
    UnknownPurpose,
    /// The format has no traps, but a trap field is not 0.
    TrapWithoutTraps,
}

impl From<cxx::Exception> for DutError {
    fn from(exception: cxx::Exception) -> Self {
        Self::Stopped(exception.what().to_owned())
    }
}

impl Dut {
    /// Creates a device in its reset state. `seed`: the seed of the random values with which
    /// undefined bits of a checked device start. A device that is not linked into the program is
    /// built on first use ([`library`]).
    ///
    /// # Errors
    /// If the device cannot be built or loaded.
    pub fn new(variant: &'static Variant, seed: u32) -> Result<Self, DutError> {
        match is_compiled_in(variant) {
            true => Self::made(variant, None, seed),
            false => Self::loaded(variant, seed),
        }
    }

    /// Creates a device from a shared object, even if the device is linked into the program.
    ///
    /// # Errors
    /// If the device cannot be built or loaded.
    pub fn loaded(variant: &'static Variant, seed: u32) -> Result<Self, DutError> {
        let object = library::object(variant)?;
        Self::made(variant, Some(object), seed)
    }

    fn made(
        variant: &'static Variant,
        object: Option<String>,
        seed: u32,
    ) -> Result<Self, DutError> {
        let mut dut = Self {
            inner: Self::inner(variant, object.as_deref(), seed)?,
            variant,
            object,
            seed,
            layout: EventLayout::new(variant),
        };
        dut.reset()?;
        Ok(dut)
    }

    fn inner(
        variant: &'static Variant,
        object: Option<&str>,
        seed: u32,
    ) -> Result<UniquePtr<bridge::ffi::Dut>, cxx::Exception> {
        match object {
            None => bridge::ffi::make_dut(variant.name, seed),
            Some(path) => bridge::ffi::load_dut(path, seed),
        }
    }

    /// Replaces the model by a new model in its reset state, as [`Dut::new`] creates it. This also
    /// clears state that the reset of the RTL keeps.
    ///
    /// # Errors
    /// If an RTL assertion fails.
    pub fn renew(&mut self) -> Result<(), DutError> {
        self.inner = Self::inner(self.variant, self.object.as_deref(), self.seed)?;
        self.reset()
    }

    /// Returns true if the device comes from a shared object.
    pub fn is_loaded(&self) -> bool {
        self.object.is_some()
    }

    /// Returns the parameters of the device.
    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    /// Returns the description of the device: its abilities and its level of visibility.
    pub fn description(&self) -> &'static Description {
        self.variant.description()
    }

    /// Resets the device.
    ///
    /// # Errors
    /// If an RTL assertion fails.
    pub fn reset(&mut self) -> Result<(), DutError> {
        Ok(self.inner.pin_mut().reset()?)
    }

    /// Returns the device, ready to be clocked.
    pub fn clocked(&mut self) -> Clocked<'_> {
        Clocked {
            inner: self.inner.pin_mut(),
            layout: &self.layout,
        }
    }

    /// Executes one clock cycle: see [`Clocked::tick`].
    ///
    /// # Errors
    /// If an RTL assertion fails.
    pub fn tick(&mut self, inputs: &Inputs, outputs: &mut Outputs) -> Result<(), DutError> {
        self.clocked().tick(inputs, outputs)
    }

    /// Records the cycles from time `from` on in a new FST file. The time of a cycle is the number
    /// of cycles since the device was created.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn trace_open(&mut self, path: &Path, from: u64) -> Result<(), DutError> {
        let path = path
            .to_str()
            .ok_or_else(|| DutError::Stopped(format!("{} is not UTF-8", shown::path(path))))?;
        Ok(self.inner.pin_mut().trace_open(path, from)?)
    }

    /// Writes the code coverage of the RTL since the device was created to a file, in Verilator's
    /// format. The file is created atomically.
    ///
    /// # Errors
    /// If the program was built without `NESTWALK_COVERAGE=1`, or the file cannot be written.
    pub fn write_coverage(&mut self, path: &Path) -> Result<(), DutError> {
        let cannot = |error: io::Error| {
            DutError::Stopped(format!("cannot write {}: {error}", shown::path(path)))
        };
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let draft = tempfile::Builder::new()
            .prefix(".draft")
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(cannot)?
            .into_temp_path();
        let name = draft
            .to_str()
            .ok_or_else(|| DutError::Stopped(format!("{} is not UTF-8", shown::path(path))))?;
        self.inner.pin_mut().write_coverage(name)?;
        // Verilator does not check that it has written the complete file. To find a full disk or a
        // limit on the file size, a further block is written here.
        let whole = || -> io::Result<()> {
            let mut file = OpenOptions::new().append(true).open(&draft)?;
            let length = file.metadata()?.len();
            file.write_all(&[b'\n'; 8192])?;
            file.set_len(length)
        };
        whole().map_err(cannot)?;
        draft.persist(path).map_err(|error| cannot(error.error))
    }

    /// Closes the wave file.
    ///
    /// # Errors
    /// If the FST writer has reported a write error. The writer does not detect every
    /// truncated file.
    pub fn trace_close(&mut self) -> Result<(), DutError> {
        Ok(self.inner.pin_mut().trace_close()?)
    }
}

/// A device that is being clocked. The pointer to the C++ object is resolved once, not in every
/// cycle.
pub struct Clocked<'a> {
    inner: Pin<&'a mut bridge::ffi::Dut>,
    layout: &'a EventLayout,
}

impl Clocked<'_> {
    /// Executes one clock cycle: drives `inputs`, and samples the outputs before the rising edge
    /// that ends the cycle. A handshake takes place if `valid` and `ready` of a port are both high.
    /// The payload of a port in `outputs` is written only if its `valid` is high.
    ///
    /// # Errors
    /// If an RTL assertion fails.
    #[inline]
    pub fn tick(&mut self, inputs: &Inputs, outputs: &mut Outputs) -> Result<(), DutError> {
        Ok(self.inner.as_mut().tick(inputs, outputs)?)
    }

    /// Resets the device.
    ///
    /// # Errors
    /// If an RTL assertion fails.
    pub fn reset(&mut self) -> Result<(), DutError> {
        Ok(self.inner.as_mut().reset()?)
    }

    /// Decodes the fields of a cycle's event record that belong to requests.
    #[inline]
    pub fn requests_of_event(&self, outputs: &Outputs) -> Requests {
        self.layout.decode_requests(&outputs.event)
    }

    /// Decodes the step in a cycle's event record, if there is one.
    pub fn step_of_event(&self, outputs: &Outputs) -> Option<WalkStep> {
        self.layout.decode_step(&outputs.event)
    }

    /// Decodes the event record of a cycle; none if the device has output no event.
    pub fn event(&self, outputs: &Outputs) -> Option<Event> {
        outputs
            .event_valid
            .then(|| self.layout.decode(&outputs.event))
    }
}

impl Inputs {
    /// Drives the port that selects the walk caches in use.
    pub(crate) fn set_walk_caches(&mut self, caches: WalkCaches) {
        self.walk_caches =
            u8::from(caches.guest) | u8::from(caches.host) << 1 | u8::from(caches.nested) << 2;
    }

    /// Drives a request on the request port.
    pub(crate) fn set_request(&mut self, id: u8, query: &Query) {
        let context = &query.context;
        self.req_valid = true;
        self.req_id = id;
        self.req_access = query.access as u8;
        self.req_gva = query.gva.0;
        self.req_virt = context.virt;
        self.req_rights = context.rights;
        self.req_guest_levels = context.guest.levels;
        self.req_host_levels = context.host.levels;
        self.req_guest_root = context.guest.root.0;
        self.req_host_root = context.host.root.0;
        self.req_asid = context.asid;
        self.req_vmid = context.vmid;
        self.req_user = context.user;
        self.req_sum = context.sum;
        self.req_guest_mxr = context.guest.mxr;
        self.req_host_mxr = context.host.mxr;
        self.req_guest_adue = context.guest.adue;
        self.req_host_adue = context.host.adue;
        self.req_guest_pbmte = context.guest.pbmte;
        self.req_host_pbmte = context.host.pbmte;
        self.req_napot = context.napot;
    }

    /// Drives a fence on the fence port.
    pub(crate) fn set_fence(&mut self, fence: &Fence) {
        self.fence_valid = true;
        self.fence_virt = fence.virt;
        self.fence_use_gva = fence.gva.is_some();
        self.fence_use_gpa = fence.gpa.is_some();
        self.fence_use_asid = fence.asid.is_some();
        self.fence_use_vmid = fence.vmid.is_some();
        self.fence_gva = fence.gva.unwrap_or_default().0;
        self.fence_gpa = fence.gpa.unwrap_or_default().0;
        self.fence_asid = fence.asid.unwrap_or_default();
        self.fence_vmid = fence.vmid.unwrap_or_default();
    }
}

impl Outputs {
    /// Decodes the outcome on the response port, and checks every field.
    ///
    /// # Errors
    /// If the fields contradict each other, or have undefined values.
    #[inline]
    pub(crate) fn outcome(&self, has_traps: bool) -> Result<Outcome, MalformedResponse> {
        if self.rsp_fault_kind == 0 {
            return self.translation().map(Ok);
        }
        self.fault(has_traps).map(Err)
    }

    /// Returns true if all fields of a replay except id and gVA are 0.
    pub(crate) fn is_bare_replay(&self) -> bool {
        !self.rsp_hit
            && self.rsp_fault_kind == 0
            && self.translation()
                == Ok(Translation {
                    gpa: Gpa(0),
                    hpa: Hpa(0),
                    page_size: 0,
                    memory_type: MemoryType::Pma,
                })
    }

    #[inline]
    fn translation(&self) -> Result<Translation, MalformedResponse> {
        if self.rsp_fault_stage != 0
            || self.rsp_fault_level != 0
            || self.rsp_fault_purpose != 0
            || self.rsp_fault_for_level != 0
        {
            return Err(MalformedResponse::TranslationWithFaultFields);
        }
        if self.trap() != Trap::default() {
            return Err(MalformedResponse::TranslationWithTrapFields);
        }
        Ok(Translation {
            gpa: Gpa(self.rsp_gpa),
            hpa: Hpa(self.rsp_hpa),
            page_size: self.rsp_page_size.into(),
            memory_type: MemoryType::of(self.rsp_attributes)
                .ok_or(MalformedResponse::UnknownMemoryType)?,
        })
    }

    fn trap(&self) -> Trap {
        Trap {
            cause: self.rsp_trap_cause,
            gva: self.rsp_trap_gva,
            tval2: self.rsp_trap_tval2,
            tinst: self.rsp_trap_tinst,
        }
    }

    fn fault(&self, has_traps: bool) -> Result<Fault, MalformedResponse> {
        let kind = FaultKind::ALL
            .into_iter()
            .find(|&kind| kind as u8 == self.rsp_fault_kind)
            .ok_or(MalformedResponse::UnknownFaultKind(self.rsp_fault_kind))?;
        if self.rsp_hpa != 0 || self.rsp_page_size != 0 || self.rsp_attributes != 0 {
            return Err(MalformedResponse::FaultWithTranslation);
        }
        let level = self.rsp_fault_level.into();
        let for_level = self.rsp_fault_for_level.into();
        let at = if self.rsp_fault_stage == 0 {
            if self.rsp_fault_purpose != 0 || for_level != 0 || self.rsp_gpa != 0 {
                return Err(MalformedResponse::GuestFaultWithHostFields);
            }
            Position::Guest { level }
        } else {
            Position::Host {
                level,
                gpa: Gpa(self.rsp_gpa),
                purpose: match (self.rsp_fault_purpose, for_level) {
                    (0, level) => Purpose::GuestEntry(level),
                    (1, 0) => Purpose::Data,
                    (1, _) => return Err(MalformedResponse::DataFaultWithGuestLevel),
                    (2, level) => Purpose::GuestUpdate(level),
                    _ => return Err(MalformedResponse::UnknownPurpose),
                },
            }
        };
        let trap = self.trap();
        let trap = if has_traps {
            Some(trap)
        } else if trap == Trap::default() {
            None
        } else {
            return Err(MalformedResponse::TrapWithoutTraps);
        };
        Ok(Fault { kind, at, trap })
    }
}

impl From<variants::WalkCacheEntries> for Entries {
    fn from(entries: variants::WalkCacheEntries) -> Self {
        Self {
            guest: entries.guest,
            host: entries.host,
            nested: entries.nested,
        }
    }
}

impl Variant {
    /// Returns the description of the device.
    ///
    /// # Panics
    /// Never: a foreign variant comes from its description.
    pub fn description(&self) -> &'static Description {
        static KEPT: LazyLock<Mutex<HashMap<&'static str, &'static Description>>> =
            LazyLock::new(Mutex::default);
        if let Some(foreign) = self.foreign {
            return foreign::description(foreign).expect("the variant comes from its description");
        }
        let mut kept = KEPT.lock().unwrap_or_else(|e| e.into_inner());
        kept.entry(self.name)
            .or_insert_with(|| Box::leak(Box::new(Description::of_variant(self))))
    }

    /// Returns the paging format of the variant.
    ///
    /// # Panics
    /// Never: every variant has the number of an existing format.
    pub fn paging_format(&self) -> Format {
        Format::ALL
            .into_iter()
            .find(|&format| format as u32 == self.format)
            .expect("the table of variants names a format")
    }
}

#[cfg(test)]
mod tests {
    use super::variants::VARIANTS;
    use super::*;
    use crate::addr::Gva;
    use crate::format::Family;
    use crate::mmu::{Access, Context};

    fn variant(name: &str) -> &'static Variant {
        VARIANTS.iter().find(|v| v.name == name).unwrap()
    }

    /// Returns a request to the page with number `page`. In the test every entry in memory is
    /// [`ENTRY`].
    fn request(id: u8, page: u64) -> Inputs {
        let mut inputs = Inputs {
            rsp_ready: true,
            mem_req_ready: true,
            ..Inputs::default()
        };
        let query = Query {
            context: Context::handout(Some(Gpa(ENTRY)), Hpa(ENTRY)),
            gva: Gva(page << 16 | 0x1234),
            access: Access::Load,
        };
        inputs.set_request(id, &query);
        inputs
    }

    /// An entry that is a valid pointer in a pointer position, and a valid leaf in a leaf position.
    const ENTRY: u64 = 0x10008;

    /// Returns all outputs of a cycle that are meaningful, as text.
    fn shown(device: &Clocked<'_>, outputs: &Outputs) -> String {
        let mut shown = format!("{} {} ", outputs.req_ready, outputs.fence_ready);
        if outputs.rsp_valid {
            let (id, hit, gva) = (outputs.rsp_id, outputs.rsp_hit, outputs.rsp_gva);
            let outcome = outputs.outcome(false).unwrap();
            shown += &format!("response {id} {hit} {gva:#x} {outcome:?} ");
        }
        if outputs.mem_req_valid {
            shown += &format!("read {} {:#x} ", outputs.mem_req_id, outputs.mem_req_hpa);
        }
        shown + &format!("{:?}", device.event(outputs))
    }

    #[test]
    fn inputs_with_either_edge_come_to_the_same_in_every_cycle() {
        let variants = [variant("handout"), variant("handout_checked")];
        assert_ne!(variants[0].inputs_at(), variants[1].inputs_at());
        // Three pages, as many as each of the two TLBs holds.
        let runs = variants.map(|variant| {
            let mut dut = Dut::new(variant, 1).unwrap();
            let mut dut = dut.clocked();
            let mut outputs = Outputs::default();
            let (mut id, mut reply) = (0u8, None);
            let cycles: Vec<String> = (0..500u64)
                .map(|cycle| {
                    let mut inputs = request(id, u64::from(id) * 7 / 4 % 3);
                    inputs.req_valid = cycle % 5 != 4;
                    inputs.rsp_ready = cycle % 3 != 1;
                    inputs.mem_req_ready = cycle % 7 != 2;
                    if let Some(slot) = reply.take() {
                        inputs.mem_rsp_valid = true;
                        inputs.mem_rsp_id = slot;
                        inputs.mem_rsp_data = ENTRY;
                    }
                    if cycle % 150 == 149 {
                        inputs.set_fence(&Fence {
                            virt: true,
                            gva: None,
                            gpa: None,
                            asid: None,
                            vmid: None,
                        });
                    }
                    dut.tick(&inputs, &mut outputs).unwrap();
                    id = id.wrapping_add(u8::from(inputs.req_valid && outputs.req_ready));
                    reply = (outputs.mem_req_valid && inputs.mem_req_ready)
                        .then_some(outputs.mem_req_id);
                    shown(&dut, &outputs)
                })
                .collect();
            cycles
        });
        let count = |what| runs[0].iter().filter(|cycle| cycle.contains(what)).count();
        assert!(count("read") > 50 && count("true 0x") > 50 && count("response") > 100);
        assert_eq!(runs[0], runs[1]);
    }

    #[test]
    fn a_device_serves_again_after_an_assertion_has_failed() {
        for variant in VARIANTS.iter().filter(|v| v.checked) {
            let mut dut = Dut::new(variant, 1).unwrap();
            let mut outputs = Outputs::default();
            for _ in 0..2 {
                dut.reset().unwrap();
                let idle = Inputs::default();
                dut.tick(&idle, &mut outputs).unwrap();
                // A memory response without a memory request, which fails an assertion.
                let unasked = Inputs {
                    mem_rsp_valid: true,
                    ..idle
                };
                let failed = dut.tick(&unasked, &mut outputs).unwrap_err();
                let text = failed.to_string();
                assert!(text.contains("ResponseExpected_A"), "{text}");
            }
        }
    }

    #[test]
    fn nothing_is_left_of_the_cycle_before_a_reset() {
        for variant in VARIANTS
            .iter()
            .filter(|v| v.paging_format().family() == Family::Handout)
        {
            let mut dut = Dut::new(variant, 1).unwrap();
            let mut outputs = Outputs::default();
            dut.tick(&request(7, 1), &mut outputs).unwrap();
            assert!(outputs.req_ready, "{}", variant.name);
            dut.reset().unwrap();
            for _ in 0..20 {
                let idle = Inputs {
                    req_valid: false,
                    ..request(7, 1)
                };
                dut.tick(&idle, &mut outputs).unwrap();
                let shows = outputs.mem_req_valid || outputs.rsp_valid || outputs.event_valid;
                assert!(!shows, "{}", variant.name);
            }
        }
    }
}
