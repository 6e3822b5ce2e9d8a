// Round-robin choice among requests. A choice that is offered and not taken stays, so that what it selects
// may drive a valid/ready port.

module rr_arbiter #(
  parameter int unsigned N = 4,
  localparam type index_t = logic [nested_mmu_pkg::index_width(N)-1:0]
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [N-1:0] req_i,
  output logic         valid_o,
  output index_t       index_o,
  input  logic         ready_i
);

  logic   locked_q;
  index_t last_q;    // taken last; while locked, the choice that waits

  index_t first_any, first_after;
  logic   any_after;

  // The first request behind the last one taken, else the first of all.
  always_comb begin : p_choose
    first_any   = '0;
    first_after = '0;
    any_after   = 1'b0;
    for (int unsigned i = N; i > 0; i--) begin
      if (req_i[i-1]) begin
        first_any = index_t'(i - 1);
        if (index_t'(i - 1) > last_q) begin
          first_after = index_t'(i - 1);
          any_after   = 1'b1;
        end
      end
    end
  end

  assign valid_o = |req_i;
  assign index_o = locked_q ? last_q : any_after ? first_after : first_any;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
    if (!rst_ni) begin
      locked_q <= 1'b0;
      last_q   <= index_t'(N - 1);
    end else if (valid_o) begin
      locked_q <= !ready_i;
      last_q   <= index_o;
    end
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  // A request stays until it is taken.
  LockedRequestStays_A: assert property (
    @(posedge clk_i) disable iff (in_reset) locked_q |-> req_i[last_q]);
`endif

endmodule
