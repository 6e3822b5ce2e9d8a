// SPDX-License-Identifier: Apache-2.0
// The lowest bit that is set, alone; or the highest. Each bit by itself, not in a chain, which would be as deep as N.

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
