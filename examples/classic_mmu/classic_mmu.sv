// SPDX-License-Identifier: Apache-2.0
// A small MMU for RV64 with the hypervisor extension: a TLB and one page-table walker.
//
// Modes: Bare and Sv39 in the first stage (satp, vsatp), Bare and Sv39x4 in the second (hgatp).
// No Svadu: a leaf whose A bit is clear faults, and so does a store to a leaf whose D bit is clear.
// No Svnapot and no Svpbmt: their bits are reserved.
//
// A request is held until done_o. CSRs are read while a request is served, so they must not change
// then. A fence is a pulse; fence_busy_o is high until it has taken effect.
module classic_mmu #(
  parameter int unsigned TLB_ENTRIES = 8
) (
  input  logic        clk,
  input  logic        rst,

  // CSRs.
  input  logic [63:0] satp,
  input  logic [63:0] vsatp,
  input  logic [63:0] hgatp,
  input  logic        sum,
  input  logic        mxr,
  input  logic        vs_mxr,

  // Request. op: 0 load, 1 store, 2 fetch, 3 HLVX.
  input  logic        req_i,
  input  logic [63:0] vaddr_i,
  input  logic [1:0]  op_i,
  input  logic        virt_i,
  input  logic        user_i,

  // Result, for one cycle.
  output logic        done_o,
  output logic        hit_o,
  output logic [55:0] paddr_o,
  output logic        fault_o,
  output logic [5:0]  cause_o,
  output logic [63:0] htval_o,
  output logic [15:0] htinst_o,

  // Page tables: pt_req_o is held until pt_ack_i, which comes with the data.
  output logic        pt_req_o,
  output logic [55:0] pt_addr_o,
  input  logic        pt_ack_i,
  input  logic        pt_err_i,
  input  logic [63:0] pt_data_i,

  // Fences.
  input  logic        sfence_vma_i,
  input  logic        hfence_vvma_i,
  input  logic        hfence_gvma_i,
  input  logic        fence_rs1_i,
  input  logic        fence_rs2_i,
  input  logic [63:0] fence_addr_i,
  input  logic [15:0] fence_id_i,
  input  logic [13:0] fence_vmid_i,
  output logic        fence_busy_o
);

  localparam int unsigned IDX_W = $clog2(TLB_ENTRIES);

  localparam logic [1:0] OP_LOAD  = 2'd0;
  localparam logic [1:0] OP_STORE = 2'd1;
  localparam logic [1:0] OP_FETCH = 2'd2;
  localparam logic [1:0] OP_HLVX  = 2'd3;

  // ---------------------------------------------------------------------------------------------
  // The context of the request.

  logic [63:0] first_csr;
  logic        s1_on;
  logic        s2_on;
  logic [15:0] asid;
  logic [13:0] vmid;

  assign first_csr = virt_i ? vsatp : satp;
  assign s1_on     = first_csr[63:60] == 4'd8;
  assign s2_on     = virt_i && (hgatp[63:60] == 4'd8);
  assign asid      = first_csr[59:44];
  assign vmid      = virt_i ? hgatp[57:44] : 14'd0;

  // ---------------------------------------------------------------------------------------------
  // Permissions of a leaf, the same for the walker and for the TLB.

  // First stage: U, SUM, R, W, X, MXR, A and D.
  function automatic logic s1_allows(input logic [7:0] flags, input logic [1:0] op,
                                     input logic user, input logic sum_bit, input logic mxr_bit);
    logic mode_ok;
    logic right_ok;
    if (user) mode_ok = flags[4];
    else      mode_ok = !flags[4] || (sum_bit && (op != OP_FETCH));
    case (op)
      OP_LOAD:  right_ok = flags[1] || (mxr_bit && flags[3]);
      OP_STORE: right_ok = flags[2];
      default:  right_ok = flags[3];
    endcase
    return mode_ok && right_ok && flags[6] && (flags[7] || (op != OP_STORE));
  endfunction

  // Second stage: every access is one of a user.
  function automatic logic s2_allows(input logic [7:0] flags, input logic [1:0] op,
                                     input logic mxr_bit);
    logic right_ok;
    case (op)
      OP_LOAD:  right_ok = flags[1] || (mxr_bit && flags[3]);
      OP_STORE: right_ok = flags[2];
      default:  right_ok = flags[3];
    endcase
    return flags[4] && right_ok && flags[6] && (flags[7] || (op != OP_STORE));
  endfunction

  // A PTE that no walk may use: not valid, W without R, or reserved bits.
  function automatic logic is_bad(input logic [63:0] pte);
    return !pte[0] || (!pte[1] && pte[2]) || (pte[63:54] != 10'd0);
  endfunction

  function automatic logic is_pointer(input logic [63:0] pte);
    return !pte[1] && !pte[2] && !pte[3];
  endfunction

  // A, D and U of a pointer are reserved.
  function automatic logic is_bad_pointer(input logic [63:0] pte);
    return pte[4] || pte[6] || pte[7];
  endfunction

  // A superpage whose page number is not a multiple of its size.
  function automatic logic is_misaligned(input logic [63:0] pte, input logic [1:0] level);
    case (level)
      2'd2:    return pte[27:10] != 18'd0;
      2'd1:    return pte[18:10] != 9'd0;
      default: return 1'b0;
    endcase
  endfunction

  // The page number of an address in a page of a level: the low part comes from the address.
  function automatic logic [43:0] page_in(input logic [43:0] ppn, input logic [43:0] page,
                                          input logic [1:0] level);
    case (level)
      2'd2:    return {ppn[43:18], page[17:0]};
      2'd1:    return {ppn[43:9], page[8:0]};
      default: return ppn;
    endcase
  endfunction

  // Two page numbers are in one page of a level.
  function automatic logic same_page(input logic [51:0] a, input logic [51:0] b,
                                     input logic [1:0] level);
    case (level)
      2'd2:    return a[51:18] == b[51:18];
      2'd1:    return a[51:9] == b[51:9];
      default: return a == b;
    endcase
  endfunction

  // ---------------------------------------------------------------------------------------------
  // TLB: fully associative, replaced in turn.

  logic [TLB_ENTRIES-1:0] t_valid;
  logic                   t_virt   [TLB_ENTRIES];
  logic                   t_s1     [TLB_ENTRIES];
  logic                   t_s2     [TLB_ENTRIES];
  logic                   t_global [TLB_ENTRIES];
  logic [15:0]            t_asid   [TLB_ENTRIES];
  logic [13:0]            t_vmid   [TLB_ENTRIES];
  logic [51:0]            t_vpn    [TLB_ENTRIES];
  logic [1:0]             t_level  [TLB_ENTRIES];  // Of the smaller leaf.
  logic [1:0]             t_s1_lvl [TLB_ENTRIES];  // Of the first stage's leaf, for fences.
  logic [43:0]            t_gppn   [TLB_ENTRIES];  // Guest page, for guest-page faults.
  logic [43:0]            t_ppn    [TLB_ENTRIES];
  logic [7:0]             t_s1_fl  [TLB_ENTRIES];
  logic [7:0]             t_s2_fl  [TLB_ENTRIES];
  logic [IDX_W-1:0]       t_next;

  logic             hit;
  logic [IDX_W-1:0] hit_idx;

  always_comb begin
    hit     = 1'b0;
    hit_idx = '0;
    for (int i = 0; i < TLB_ENTRIES; i++) begin
      if (!hit && t_valid[i]
          && (t_virt[i] == virt_i) && (t_s1[i] == s1_on) && (t_s2[i] == s2_on)
          && (t_vmid[i] == vmid)
          && ((t_asid[i] == asid) || t_global[i])
          && same_page(t_vpn[i], vaddr_i[63:12], t_level[i])) begin
        hit     = 1'b1;
        hit_idx = IDX_W'(i);
      end
    end
  end

  logic        hit_s1_ok;
  logic        hit_s2_ok;
  logic [43:0] hit_gppn;

  assign hit_s1_ok = !s1_on || s1_allows(t_s1_fl[hit_idx], op_i, user_i, sum, virt_i ? vs_mxr : mxr);
  assign hit_s2_ok = !s2_on || s2_allows(t_s2_fl[hit_idx], op_i, mxr);
  assign hit_gppn  = page_in(t_gppn[hit_idx], vaddr_i[55:12], t_s1_lvl[hit_idx]);

  // ---------------------------------------------------------------------------------------------
  // Causes.

  function automatic logic [5:0] access_cause(input logic [1:0] op);
    return (op == OP_FETCH) ? 6'd1 : (op == OP_STORE) ? 6'd7 : 6'd5;
  endfunction

  function automatic logic [5:0] page_cause(input logic [1:0] op);
    return (op == OP_FETCH) ? 6'd12 : (op == OP_STORE) ? 6'd15 : 6'd13;
  endfunction

  function automatic logic [5:0] guest_cause(input logic [1:0] op);
    return (op == OP_FETCH) ? 6'd20 : (op == OP_STORE) ? 6'd23 : 6'd21;
  endfunction

  // ---------------------------------------------------------------------------------------------
  // Walker.

  typedef enum logic [3:0] {
    IDLE,       // Looks a request up, or does a fence.
    S1_ADDR,    // Has the address of a first-stage PTE.
    S1_READ,    // Reads it.
    S1_CHECK,   // Looks at it.
    S2_START,   // Begins the second stage for g_addr.
    S2_READ,
    S2_CHECK,
    S2_DONE,    // g_page is translated.
    FILL,
    FAULT
  } state_e;

  state_e      state;
  logic [1:0]  s1_level;
  logic [1:0]  s2_level;
  logic [63:0] pte;
  logic        pte_err;
  logic [43:0] s1_table;    // Page number of the first-stage table.
  logic [43:0] s2_table;
  logic [63:0] g_addr;      // Guest physical address that the second stage translates.
  logic        g_data;      // It is that of the data, not of a PTE.
  logic [43:0] g_page;      // Its host page.
  logic        global_seen;
  logic [7:0]  s1_flags;
  logic [7:0]  s2_flags;
  logic [1:0]  s1_leaf_level;
  logic [5:0]  fault_cause;
  logic [63:0] fault_htval;
  logic [15:0] fault_htinst;

  // Fences wait here until the walker is idle.
  logic        f_sfence;
  logic        f_vvma;
  logic        f_gvma;
  logic        f_rs1;
  logic        f_rs2;
  logic [63:0] f_addr;
  logic [15:0] f_id;
  logic [13:0] f_vmid;

  assign fence_busy_o = f_sfence || f_vvma || f_gvma;

  // The index of the first-stage PTE, and the address of the second-stage PTE.
  logic [8:0]  s1_index;
  logic [55:0] s2_addr;

  always_comb begin
    case (s1_level)
      2'd2:    s1_index = vaddr_i[38:30];
      2'd1:    s1_index = vaddr_i[29:21];
      default: s1_index = vaddr_i[20:12];
    endcase
  end

  always_comb begin
    case (s2_level)
      // The root table has four pages.
      2'd2:    s2_addr = {s2_table[43:2], g_addr[40:30], 3'b000};
      2'd1:    s2_addr = {s2_table, g_addr[29:21], 3'b000};
      default: s2_addr = {s2_table, g_addr[20:12], 3'b000};
    endcase
  end

  logic s1_canonical;
  assign s1_canonical = (vaddr_i[63:39] == {25{vaddr_i[38]}});

  always_ff @(posedge clk) begin
    done_o <= 1'b0;

    // Fences are taken at any time, and done in IDLE.
    if (sfence_vma_i || hfence_vvma_i || hfence_gvma_i) begin
      f_sfence <= sfence_vma_i;
      f_vvma   <= hfence_vvma_i;
      f_gvma   <= hfence_gvma_i;
      f_rs1    <= fence_rs1_i;
      f_rs2    <= fence_rs2_i;
      f_addr   <= fence_addr_i;
      f_id     <= fence_id_i;
      f_vmid   <= fence_vmid_i;
    end

    case (state)
      IDLE: begin
        if (fence_busy_o) begin
          for (int i = 0; i < TLB_ENTRIES; i++) begin
            if (f_sfence && !t_virt[i]
                && (!f_rs1 || same_page(t_vpn[i], f_addr[63:12], t_s1_lvl[i]))
                && (!f_rs2 || ((t_asid[i] == f_id) && !t_global[i]))) begin
              t_valid[i] <= 1'b0;
            end
            if (f_vvma && t_virt[i] && (t_vmid[i] == f_vmid)
                && (!f_rs1 || same_page(t_vpn[i], f_addr[63:12], t_s1_lvl[i]))
                && (!f_rs2 || ((t_asid[i] == f_id) && !t_global[i]))) begin
              t_valid[i] <= 1'b0;
            end
            // Guest physical addresses are not compared: the whole virtual machine goes.
            if (f_gvma && t_virt[i] && (!f_rs2 || (t_vmid[i] == f_vmid))) begin
              t_valid[i] <= 1'b0;
            end
          end
          f_sfence <= 1'b0;
          f_vvma   <= 1'b0;
          f_gvma   <= 1'b0;
        end else if (req_i && !done_o) begin
          s1_level      <= 2'd2;
          s1_table      <= first_csr[43:0];
          s1_flags      <= 8'd0;
          s2_flags      <= 8'd0;
          s1_leaf_level <= 2'd2;
          global_seen   <= 1'b0;
          fault_htval   <= 64'd0;
          fault_htinst  <= 16'd0;
          if (!s1_on && !s2_on) begin
            // Nothing is translated.
            done_o   <= 1'b1;
            hit_o    <= 1'b0;
            paddr_o  <= vaddr_i[55:0];
            fault_o  <= vaddr_i[63:56] != 8'd0;
            cause_o  <= access_cause(op_i);
            htval_o  <= 64'd0;
            htinst_o <= 16'd0;
          end else if (hit) begin
            done_o   <= 1'b1;
            hit_o    <= 1'b1;
            paddr_o  <= {page_in(t_ppn[hit_idx], vaddr_i[55:12], t_level[hit_idx]), vaddr_i[11:0]};
            fault_o  <= !hit_s1_ok || !hit_s2_ok;
            cause_o  <= !hit_s1_ok ? page_cause(op_i) : guest_cause(op_i);
            htval_o  <= hit_s1_ok ? {10'd0, hit_gppn, vaddr_i[11:2]} : 64'd0;
            htinst_o <= 16'd0;
          end else if (s1_on && !s1_canonical) begin
            fault_cause <= page_cause(op_i);
            state       <= FAULT;
          end else if (s1_on) begin
            state <= S1_ADDR;
          end else begin
            g_addr <= vaddr_i;
            g_data <= 1'b1;
            state  <= S2_START;
          end
        end
      end

      // A PTE of the first stage is at a guest physical address if the second stage is on.
      S1_ADDR: begin
        g_addr <= {8'd0, s1_table, s1_index, 3'b000};
        g_data <= 1'b0;
        g_page <= s1_table;
        state  <= s2_on ? S2_START : S1_READ;
      end

      S1_READ: begin
        if (pt_ack_i) begin
          pte     <= pt_data_i;
          pte_err <= pt_err_i;
          state   <= S1_CHECK;
        end
      end

      S1_CHECK: begin
        fault_cause  <= page_cause(op_i);
        fault_htval  <= 64'd0;
        fault_htinst <= 16'd0;
        if (pte_err) begin
          fault_cause <= access_cause(op_i);
          state       <= FAULT;
        end else if (is_bad(pte)) begin
          state <= FAULT;
        end else if (is_pointer(pte)) begin
          if (is_bad_pointer(pte) || (s1_level == 2'd0)) begin
            state <= FAULT;
          end else begin
            s1_level    <= s1_level - 2'd1;
            s1_table    <= pte[53:10];
            global_seen <= global_seen || pte[5];
            state       <= S1_ADDR;
          end
        end else if (is_misaligned(pte, s1_level)
                     || !s1_allows(pte[7:0], op_i, user_i, sum, virt_i ? vs_mxr : mxr)) begin
          state <= FAULT;
        end else begin
          global_seen   <= global_seen || pte[5];
          s1_flags      <= pte[7:0];
          s1_leaf_level <= s1_level;
          g_addr        <= {8'd0, page_in(pte[53:10], vaddr_i[55:12], s1_level), vaddr_i[11:0]};
          g_page        <= page_in(pte[53:10], vaddr_i[55:12], s1_level);
          g_data        <= 1'b1;
          s2_level      <= 2'd2;
          state         <= s2_on ? S2_START : FILL;
        end
      end

      S2_START: begin
        s2_level     <= 2'd2;
        s2_table     <= hgatp[43:0];
        fault_cause  <= guest_cause(op_i);
        fault_htval  <= {2'd0, g_addr[63:2]};
        fault_htinst <= (g_data || (g_addr[63:2] == '0)) ? 16'd0 : 16'h3000;
        // A guest physical address of Sv39x4 has 41 bits.
        state        <= (g_addr[63:41] != '0) ? FAULT : S2_READ;
      end

      S2_READ: begin
        if (pt_ack_i) begin
          pte     <= pt_data_i;
          pte_err <= pt_err_i;
          state   <= S2_CHECK;
        end
      end

      S2_CHECK: begin
        if (pte_err) begin
          fault_cause  <= access_cause(op_i);
          fault_htval  <= 64'd0;
          fault_htinst <= 16'd0;
          state        <= FAULT;
        end else if (is_bad(pte)) begin
          state <= FAULT;
        end else if (is_pointer(pte)) begin
          if (is_bad_pointer(pte) || (s2_level == 2'd0)) begin
            state <= FAULT;
          end else begin
            s2_level <= s2_level - 2'd1;
            s2_table <= pte[53:10];
            state    <= S2_READ;
          end
        end else if (is_misaligned(pte, s2_level)
                     || !s2_allows(pte[7:0], g_data ? op_i : OP_LOAD, g_data && mxr)) begin
          state <= FAULT;
        end else begin
          s2_flags <= pte[7:0];
          g_page   <= page_in(pte[53:10], g_addr[55:12], s2_level);
          state    <= S2_DONE;
        end
      end

      S2_DONE: state <= g_data ? FILL : S1_READ;

      FILL: begin
        t_valid[t_next]  <= 1'b1;
        t_virt[t_next]   <= virt_i;
        t_s1[t_next]     <= s1_on;
        t_s2[t_next]     <= s2_on;
        t_global[t_next] <= global_seen;
        t_asid[t_next]   <= asid;
        t_vmid[t_next]   <= vmid;
        t_vpn[t_next]    <= vaddr_i[63:12];
        t_level[t_next]  <= !s2_on ? s1_leaf_level
                          : !s1_on ? s2_level
                          : (s1_leaf_level < s2_level) ? s1_leaf_level : s2_level;
        t_s1_lvl[t_next] <= s1_on ? s1_leaf_level : s2_level;
        t_gppn[t_next]   <= g_addr[55:12];
        t_ppn[t_next]    <= g_page;
        t_s1_fl[t_next]  <= s1_flags;
        t_s2_fl[t_next]  <= s2_flags;
        t_next           <= t_next + 1'b1;
        done_o           <= 1'b1;
        hit_o            <= 1'b0;
        paddr_o          <= {g_page, vaddr_i[11:0]};
        fault_o          <= 1'b0;
        cause_o          <= 6'd0;
        htval_o          <= 64'd0;
        htinst_o         <= 16'd0;
        state            <= IDLE;
      end

      FAULT: begin
        done_o   <= 1'b1;
        hit_o    <= 1'b0;
        fault_o  <= 1'b1;
        cause_o  <= fault_cause;
        htval_o  <= fault_htval;
        htinst_o <= fault_htinst;
        state    <= IDLE;
      end

      default: state <= IDLE;
    endcase

    if (rst) begin
      state    <= IDLE;
      done_o   <= 1'b0;
      t_valid  <= '0;
      t_next   <= '0;
      f_sfence <= 1'b0;
      f_vvma   <= 1'b0;
      f_gvma   <= 1'b0;
    end
  end

  // The translated page of a first-stage PTE is g_page, with or without a second stage.
  assign pt_req_o  = ((state == S1_READ) || (state == S2_READ)) && !rst;
  assign pt_addr_o = (state == S1_READ) ? {g_page, g_addr[11:3], 3'b000} : s2_addr;

endmodule
