// SPDX-License-Identifier: Apache-2.0
// Keeps the lowest bit that is set, or the highest, and clears all others. Each output bit is a
// function of its own, not a link of a chain, whose depth would be N.

module first_one #(
  parameter int unsigned N       = 4,
  parameter bit          Highest = 1'b0
) (
  input  logic [N-1:0] set_i,
  output logic [N-1:0] first_o
);

  always_comb begin : p_first
    for (int unsigned i = 0; i < N; i++) begin
      if (Highest) first_o[i] = (set_i >> i) == N'(1);
      else         first_o[i] = N'(set_i << (N - 1 - i)) == (N'(1) << (N - 1));
    end
  end

endmodule
