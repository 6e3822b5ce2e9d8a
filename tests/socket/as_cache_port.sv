// SPDX-License-Identifier: Apache-2.0
// The memory port of nested_mmu as the request port of a cache with a late tag and a kill: the
// inverse of the adapter cache_port. The tag comes late, some reads are killed and repeated, and
// signals that mean nothing are noise.

module as_cache_port #(
  parameter int unsigned HpaWidth   = 56,
  parameter int unsigned IndexWidth = 12,
  parameter int unsigned IdWidth    = 1,
  parameter int unsigned DataWidth  = 64,
  parameter int unsigned PteWidth   = 64,
  parameter int unsigned SlotWidth  = 1,
  // Reads are also killed when memory may have them, each of them twice at most.
  parameter bit          LateKill   = 1'b0
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The MMU.
  input  logic                 m_req_valid_i,
  output logic                 m_req_ready_o,
  input  logic [SlotWidth-1:0] m_req_id_i,
  input  logic [HpaWidth-1:0]  m_req_hpa_i,
  output logic                 m_rsp_valid_o,
  output logic [SlotWidth-1:0] m_rsp_id_o,
  output logic                 m_rsp_error_o,
  output logic [PteWidth-1:0]  m_rsp_data_o,

  // The adapter.
  output logic                           data_req_o,
  input  logic                           data_gnt_i,
  output logic [IdWidth-1:0]             data_id_o,
  output logic [IndexWidth-1:0]          address_index_o,
  output logic [HpaWidth-IndexWidth-1:0] address_tag_o,
  output logic                           tag_valid_o,
  output logic                           kill_req_o,
  input  logic                           data_rvalid_i,
  input  logic [IdWidth-1:0]             data_rid_i,
  input  logic [DataWidth-1:0]           data_rdata_i,
  input  logic                           data_error_i
);

  typedef enum logic [1:0] {Request, Tag, Data} state_e;

  state_e             state_q;
  logic               doomed_q, killed, done;
  logic [IdWidth-1:0] id_q;
  logic [31:0]        bits;
  logic [1:0]         kills_q;

  noise u_noise (.clk_i, .rst_ni, .bits_o (bits));

  // While it waits for data, it requests another read at times, which is then killed.
  assign data_req_o      = (state_q == Request) ? m_req_valid_i : (state_q == Data && bits[0]);
  assign data_id_o       = data_req_o ? IdWidth'(bits[8:5]) : '0;
  assign address_index_o = data_req_o ? m_req_hpa_i[IndexWidth-1:0] : IndexWidth'(bits);
  assign tag_valid_o     = state_q == Tag && bits[1] && (!doomed_q || bits[2]);
  assign address_tag_o   = (tag_valid_o && !kill_req_o) ? m_req_hpa_i[HpaWidth-1:IndexWidth]
                                                        : (HpaWidth - IndexWidth)'({2{bits}});
  assign kill_req_o      = (state_q == Tag && doomed_q && bits[1])
                        || (state_q == Data && LateKill && kills_q != 2'd2 && bits[4:2] == '0);

  assign killed        = kill_req_o;
  assign done          = state_q == Data && data_rvalid_i && !killed;
  assign m_req_ready_o = done;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      state_q       <= Request;
      doomed_q      <= 1'b0;
      kills_q       <= '0;
      id_q          <= '0;
      m_rsp_valid_o <= 1'b0;
      {m_rsp_id_o, m_rsp_error_o, m_rsp_data_o} <= '0;
    end else begin
      m_rsp_valid_o <= done;
      kills_q       <= done ? '0 : kills_q + 2'(state_q == Data && killed);
      m_rsp_id_o    <= m_req_id_i;
      m_rsp_error_o <= data_error_i;
      m_rsp_data_o  <= PteWidth'(data_rdata_i >> (8 * (32'(m_req_hpa_i) % (DataWidth / 8))));
      if (data_req_o && data_gnt_i) begin
        state_q  <= Tag;
        doomed_q <= state_q == Data || bits[10:9] == '0;
        id_q     <= data_id_o;
      end else if (killed || done) begin
        state_q <= Request;
      end else if (tag_valid_o) begin
        state_q <= Data;
      end
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // A kill is answered at once, and an answer has the id of its read.
  KillIsAnswered_A: assert property (@(posedge clk_i) disable iff (in_reset)
    killed |-> data_rvalid_i);
  IdIsRight_A: assert property (@(posedge clk_i) disable iff (in_reset)
    data_rvalid_i |-> state_q != Request && data_rid_i == id_q);

endmodule
