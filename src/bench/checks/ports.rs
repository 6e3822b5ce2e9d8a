// SPDX-License-Identifier: Apache-2.0
//! Checks that ports are stable: once `valid` is high, `valid` and the payload do not change until
//! the handshake (docs/ports.md).

use crate::bench::mismatch::{Mismatch, PortRequest, PortResponse, PortViolation, Violation};
use crate::dut::Outputs;
use crate::format::Format;

/// The response and the memory request that were offered and not accepted in the last cycle.
#[derive(Default)]
pub(in crate::bench) struct StablePorts {
    response_is_stalled: bool,
    /// The stalled response. It is kept as raw outputs, because a copy costs less than a decoding.
    response: Outputs,
    memory_request: Option<PortRequest>,
}

impl StablePorts {
    /// Checks the ports in a cycle. `accepted`: a handshake of the response port, and of the memory
    /// request port, takes place in this cycle.
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
