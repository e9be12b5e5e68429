//! Counts what is allocated, so that a bench can say what something takes at most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, with a count. To be declared as `#[global_allocator]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counting;

static NOW_BYTES: AtomicUsize = AtomicUsize::new(0);
static MAX_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Does `work` and gives its result, with the most bytes that were allocated at once on top of what
/// there was before. Threads are not told apart.
pub fn most_bytes_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before_bytes = NOW_BYTES.load(Relaxed);
    MAX_BYTES.store(before_bytes, Relaxed);
    let result = work();
    (result, MAX_BYTES.load(Relaxed).saturating_sub(before_bytes))
}

fn add(bytes: usize) {
    MAX_BYTES.fetch_max(NOW_BYTES.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

fn take(bytes: usize) {
    NOW_BYTES.fetch_sub(bytes, Relaxed);
}

// SAFETY: every request is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`, which is the same there.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        add(bytes);
        take(layout.size());
        // SAFETY: the caller keeps to the contract of `realloc`, and `block` came from there.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        take(layout.size());
        // SAFETY: the caller keeps to the contract of `dealloc`, and `block` came from there.
        unsafe { System.dealloc(block, layout) }
    }
}
