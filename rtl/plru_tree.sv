// SPDX-License-Identifier: Apache-2.0
// Tree pseudo-LRU over N ways; N is a power of two. Each node points to the half that was used less
// recently. Ways are one-hot.

module plru_tree #(
  parameter int unsigned N = 16
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         touch_valid_i,
  input  logic [N-1:0] touch_i,
  output logic [N-1:0] victim_o
);

  // Node 1 is the root. The children of node n are 2n and 2n+1. The ways follow the last node.
  logic [N-1:1] point_high_q, point_high_d;

  // A node is touched if the touched way is below it.
  logic [2*N-1:1] touched;

  // The path of nodes from the root to the victim, and the victim.
  logic [2*N-1:1] pointed;

  always_comb begin : p_victim
    pointed    = '0;
    pointed[1] = 1'b1;
    for (int unsigned node = 1; node < N; node++) begin
      pointed[2*node]   = pointed[node] && !point_high_q[node];
      pointed[2*node+1] = pointed[node] && point_high_q[node];
    end
  end
  assign victim_o = pointed[2*N-1:N];

  always_comb begin : p_touch
    touched          = '0;
    touched[2*N-1:N] = touch_i;
    for (int unsigned node = N - 1; node > 0; node--) begin
      touched[node]      = touched[2*node] || touched[2*node+1];
      point_high_d[node] = touched[node] ? touched[2*node] : point_high_q[node];
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
    if (!rst_ni)            point_high_q <= '0;
    else if (touch_valid_i) point_high_q <= point_high_d;
  end

endmodule
