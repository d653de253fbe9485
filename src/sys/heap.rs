//! Memory as std has it, but for one thing: where there is none, that is told, with how much was asked for.
//!
//! The std of our releases has lost its words for it with those of panics (tools/musl-std).
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

use super::fault::out_of_memory;

#[global_allocator]
static HEAP: Heap = Heap;

struct Heap;

// WHY: there is no other stable way to hear of it.
// SAFETY: everything is the system's, on the caller's terms; no answer of these is ever null.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promised.
        there(unsafe { System.realloc(at, layout, size) }, size)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

fn there(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() {
        out_of_memory(size);
    }
    memory
}
