// SPDX-License-Identifier: Apache-2.0
// An entry on the lanes of its address on a data bus that may be wider. The other lanes are 0, which
// is no valid entry. The adapters of the memory side use it.

module data_lanes #(
  // Bits of the data, and of a table entry.
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64,
  // Bits of an address on the bus.
  localparam int unsigned LowWidth = $clog2(DataWidth / 8)
) (
  input  logic [LowWidth-1:0]  low_i,
  input  logic [PteWidth-1:0]  word_i,
  output logic [DataWidth-1:0] data_o
);

  always_comb begin : p_lanes
    data_o = '0;
    for (int unsigned lane = 0; lane < DataWidth / PteWidth; lane++) begin
      if (lane == 32'(low_i) / (PteWidth / 8)) data_o[lane * PteWidth +: PteWidth] = word_i;
    end
  end

endmodule
