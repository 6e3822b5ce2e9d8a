// SPDX-License-Identifier: Apache-2.0
//! Access to the fields of the inputs and outputs of a device by name.

use super::{Inputs, Outputs};

/// A type of field, converted from and to the bits of a port.
trait Bits {
    fn of_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
}

impl Bits for bool {
    fn of_bits(bits: u64) -> Self {
        bits != 0
    }

    fn bits(self) -> u64 {
        u64::from(self)
    }
}

macro_rules! bits {
    ($($type:ty)*) => {$(
        impl Bits for $type {
            fn of_bits(bits: u64) -> Self {
                bits as Self
            }

            fn bits(self) -> u64 {
                u64::from(self)
            }
        }
    )*};
}

bits!(u8 u16 u64);

/// A field of [`Inputs`] or of [`Outputs`].
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    /// Returns the bits of the field.
    pub get: fn(&T) -> u64,
    /// Sets the field to these bits.
    pub set: fn(&mut T, u64),
}

macro_rules! fields {
    ($(#[$doc:meta])* $function:ident $struct:ident: $($field:ident)*) => {
        $(#[$doc])*
        pub fn $function(name: &str) -> Option<Field<$struct>> {
            Some(match name {
                $(stringify!($field) => Field {
                    get: |fields| fields.$field.bits(),
                    set: |fields, bits| fields.$field = Bits::of_bits(bits),
                },)*
                _ => return None,
            })
        }
    };
}

fields! {
    /// Returns the field of the input with a name.
    input Inputs:
    req_gva req_guest_root req_host_root fence_gva fence_gpa mem_rsp_data req_asid req_vmid
    fence_asid fence_vmid walk_caches req_id req_access req_guest_levels req_host_levels mem_rsp_id
    req_valid req_virt req_rights req_user req_sum req_guest_mxr req_host_mxr req_guest_adue
    req_host_adue req_guest_pbmte req_host_pbmte req_napot rsp_ready fence_valid fence_virt
    fence_use_gva fence_use_gpa fence_use_asid fence_use_vmid mem_req_ready mem_rsp_valid
    mem_rsp_error
}

fields! {
    /// Returns the field of the output with a name; none for the event record.
    output Outputs:
    rsp_gva rsp_gpa rsp_hpa rsp_trap_tval2 mem_req_hpa mem_req_expected mem_req_new rsp_trap_tinst
    rsp_id rsp_page_size rsp_attributes rsp_fault_kind rsp_fault_stage rsp_fault_level
    rsp_fault_purpose rsp_fault_for_level rsp_trap_cause mem_req_id req_ready rsp_valid rsp_hit
    rsp_replay rsp_trap_gva fence_ready mem_req_valid mem_req_update mem_rsp_ready event_valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::socket::PORTS;

    #[test]
    fn every_port_with_a_field_can_be_set_and_read_by_its_name() {
        for port in PORTS.iter().filter(|port| !port.field.is_empty()) {
            if port.is_input {
                let field = input(port.field).unwrap_or_else(|| panic!("{}", port.field));
                let mut inputs = Inputs::default();
                (field.set)(&mut inputs, 1);
                assert_eq!((field.get)(&inputs), 1, "{}", port.field);
            } else if port.field != "event" {
                let field = output(port.field).unwrap_or_else(|| panic!("{}", port.field));
                let mut outputs = Outputs::default();
                (field.set)(&mut outputs, 1);
                assert_eq!((field.get)(&outputs), 1, "{}", port.field);
            }
        }
    }
}
