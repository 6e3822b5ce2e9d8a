// Tree pseudo-LRU over N ways, N a power of two. Each node points to the half used less recently.

module plru_tree #(
  parameter int unsigned N = 16,
  localparam type way_t = logic [nested_mmu_pkg::index_width(N)-1:0]
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic touch_valid_i,
  input  way_t touch_way_i,
  output way_t victim_o
);

  localparam int unsigned Depth = $clog2(N);

  // Node 1 is the root; the children of node n are 2n and 2n+1; below the last node are the ways.
  logic [N-1:1] point_high_q, point_high_d;

  always_comb begin : p_victim
    way_t node;
    node = way_t'(1);
    for (int unsigned d = 0; d < Depth; d++) begin
      node = way_t'({node, point_high_q[node]});
    end
    victim_o = node;
  end

  always_comb begin : p_touch
    way_t node;
    logic high;
    point_high_d = point_high_q;
    node = way_t'(1);
    for (int unsigned d = 0; d < Depth; d++) begin
      high = touch_way_i[Depth-1-d];
      point_high_d[node] = !high;
      node = way_t'({node, high});
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
    if (!rst_ni)            point_high_q <= '0;
    else if (touch_valid_i) point_high_q <= point_high_d;
  end

endmodule
