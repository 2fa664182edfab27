;; SPDX-License-Identifier: Apache-2.0
;; What tests do with a compiled module: compute, misbehave, and leave things behind.
(module
  (memory 1 100)
  (table $t 4 100 funcref)
  (global $counter (mut i32) (i32.const 0))
  (func $seven (result i32) i32.const 7)
  (func $eight (result i32) i32.const 8)
  (elem (i32.const 0) $seven)
  (elem declare func $eight)
  (type $number (func (result i32)))
  (func (export "add") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.add)
  (func (export "wide") (param i64 f32 f64) (result f64)
    local.get 0 f64.convert_i64_s local.get 1 f64.promote_f32 f64.add local.get 2 f64.add)
  (func (export "double") (param i64) (result i64)
    local.get 0 i64.const 2 i64.mul)
  (func (export "loop") (result i32)
    (loop $again br $again) unreachable)
  (func (export "trap") (result i32) unreachable)
  (func (export "divide") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.div_s)
  (func (export "outside") (result i32)
    i32.const -8 i32.load)
  (func (export "unused") (param i32) (result i32)
    local.get 0 i32.load drop
    i32.const 1)
  (func (export "far") (param i32) (result i32)
    local.get 0 i64.load offset=0xffffffff drop
    i32.const 1)
  (func (export "far_store") (param i32) (result i32)
    local.get 0 i64.const 1 i64.store offset=0xffffffff
    i32.const 1)
  (func (export "store") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.store
    local.get 0 i32.load)
  (func (export "store8") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.store8
    local.get 0 i32.load8_u)
  (func (export "first") (result i32)
    i32.const 0 i32.const 0 i32.load i32.const 1 i32.add i32.store
    i32.const 0 i32.load)
  ;; Grows, and writes and reads the last word of the new page.
  (func (export "grow") (param i32) (result i32)
    (local $last i32)
    i32.const 1 memory.grow drop
    memory.size i32.const 16 i32.shl i32.const 4 i32.sub local.tee $last
    local.get 0 i32.store
    local.get $last i32.load)
  ;; Counts the events, or traps after having counted.
  (func (export "count") (param i32) (result i32)
    i32.const 3000 i32.const 3000 i32.load i32.const 1 i32.add i32.store
    (if (local.get 0) (then unreachable))
    i32.const 3000 i32.load)
  (func $deep (export "deep") (param i32) (result i32)
    local.get 0 i32.const 1 i32.add call $deep
    local.get 0 i32.const 2 i32.add call $deep i32.xor)
  (func (export "bomb") (result i32)
    (loop $again
      i32.const 1 memory.grow
      i32.const -1 i32.ne
      br_if $again)
    memory.size)
  ;; Everything that a call can change, told as one number and then changed: 7 in a fresh instance.
  (func (export "leak") (result i32)
    i32.const 1000 i32.load
    global.get $counter i32.add
    memory.size i32.const 1 i32.sub i32.add
    table.size $t i32.const 4 i32.sub i32.add
    i32.const 0 call_indirect (type $number) i32.add
    i32.const 1000 i32.const 5 i32.store
    global.get $counter i32.const 1 i32.add global.set $counter
    i32.const 1 memory.grow drop
    i32.const 65600 i32.const 99 i32.store
    i32.const 0 ref.func $eight table.set $t
    ref.null func i32.const 10 table.grow $t drop)
  (func (export "grown") (result i32)
    i32.const 1 memory.grow drop
    i32.const 65600 i32.load
    i32.const 65600 i32.const 99 i32.store))
