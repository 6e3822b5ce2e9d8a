// SPDX-License-Identifier: Apache-2.0
// Pseudorandom bits for the inverses of the socket adapters, the same after each reset.

module noise #(
  parameter logic [31:0] Seed = 32'h2545_F491
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  output logic [31:0] bits_o
);

  logic [31:0] one, two;

  // Xorshift by 13, 17 and 5.
  assign one = bits_o ^ (bits_o << 13);
  assign two = one ^ (one >> 17);

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_bits
    if (!rst_ni) bits_o <= Seed;
    else         bits_o <= two ^ (two << 5);
  end

endmodule
