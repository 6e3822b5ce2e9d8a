// SPDX-License-Identifier: Apache-2.0
// A memory with one write port and one read port. It reads the word at the address of the cycle
// before, as it was before a write in that cycle. A target can replace this module by a memory of
// its own.

module ram_1r1w
  import nested_mmu_pkg::*;
#(
  parameter int unsigned Words  = 2,
  parameter type         word_t = logic,
  localparam type        at_t   = logic [index_width(Words)-1:0]
) (
  input  logic  clk_i,

  input  logic  write_i,
  input  at_t   write_at_i,
  input  word_t write_word_i,

  input  at_t   read_at_i,
  output word_t read_word_o
);

  word_t word_q [Words];

  always_ff @(posedge clk_i) begin : p_memory
    if (write_i) word_q[write_at_i] <= write_word_i;
    read_word_o <= word_q[read_at_i];
  end

endmodule
