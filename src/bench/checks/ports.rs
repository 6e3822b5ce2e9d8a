// SPDX-License-Identifier: Apache-2.0
//! Once `valid` is high, `valid` and the payload of a port do not change until the handshake
//! (docs/ports.md).

use crate::bench::mismatch::{Mismatch, PortRequest, PortResponse, PortViolation, Violation};
use crate::dut::Outputs;
use crate::format::Format;

/// The payloads that were stalled in the last cycle.
#[derive(Default)]
pub(in crate::bench) struct StablePorts {
    response_is_stalled: bool,
    /// The response, while it is stalled. It is kept in place: a copy costs less than a decoding.
    response: Outputs,
    memory_request: Option<PortRequest>,
}

impl StablePorts {
    /// Checks the ports in a cycle. `accepted`: whether the response, and the memory request, is
    /// accepted in it.
    #[inline]
    pub fn on_cycle(
        &mut self,
        outputs: &Outputs,
        (response_accepted, request_accepted): (bool, bool),
        format: Format,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.response_is_stalled {
            self.check_response(outputs, format, cycle)?;
        }
        self.response_is_stalled = outputs.rsp_valid && !response_accepted;
        if self.response_is_stalled {
            self.response.clone_from(outputs);
        }
        if let Some(stalled) = self.memory_request.take() {
            let now = PortRequest::on_port(outputs);
            if now != Some(stalled) {
                let violation = PortViolation::MemoryRequestChanged { stalled, now };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
        }
        if outputs.mem_req_valid && !request_accepted {
            self.memory_request = PortRequest::on_port(outputs);
        }
        Ok(())
    }

    fn check_response(
        &self,
        outputs: &Outputs,
        format: Format,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let stalled = PortResponse::on_port(&self.response, format);
        let now = PortResponse::on_port(outputs, format);
        match stalled {
            Some(stalled) if now != Some(stalled) => {
                let violation = PortViolation::ResponseChanged { stalled, now };
                Err(Mismatch::new(cycle, Violation::Port(violation)))
            }
            _ => Ok(()),
        }
    }
}
