// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Names for Clang's thread-safety attributes; nothing under compilers that lack them.
#pragma once

#if defined(__clang__)
#define HELIX_THREAD_ANNOTATION(attribute) __attribute__((attribute))
#else
#define HELIX_THREAD_ANNOTATION(attribute)
#endif

/// On a class: it is a lock. On a class whose objects hold a lock from construction to destruction.
#define HELIX_CAPABILITY(name) HELIX_THREAD_ANNOTATION(capability(name))
#define HELIX_SCOPED_CAPABILITY HELIX_THREAD_ANNOTATION(scoped_lockable)

/// On data: read and written only with `lock` held (for PT: what the pointer points to).
#define HELIX_GUARDED_BY(lock) HELIX_THREAD_ANNOTATION(guarded_by(lock))
#define HELIX_PT_GUARDED_BY(lock) HELIX_THREAD_ANNOTATION(pt_guarded_by(lock))

/// On functions: called with the locks held; called without them; takes them; releases them.
#define HELIX_REQUIRES(...) HELIX_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define HELIX_EXCLUDES(...) HELIX_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define HELIX_ACQUIRE(...) HELIX_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define HELIX_TRY_ACQUIRE(...) HELIX_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define HELIX_RELEASE(...) HELIX_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define HELIX_ACQUIRE_SHARED(...) HELIX_THREAD_ANNOTATION(acquire_shared_capability(__VA_ARGS__))
#define HELIX_TRY_ACQUIRE_SHARED(...) HELIX_THREAD_ANNOTATION(try_acquire_shared_capability(__VA_ARGS__))
#define HELIX_RELEASE_SHARED(...) HELIX_THREAD_ANNOTATION(release_shared_capability(__VA_ARGS__))
#define HELIX_RELEASE_GENERIC(...) HELIX_THREAD_ANNOTATION(release_generic_capability(__VA_ARGS__))
#define HELIX_ASSERT_CAPABILITY(...) HELIX_THREAD_ANNOTATION(assert_capability(__VA_ARGS__))
#define HELIX_RETURN_CAPABILITY(lock) HELIX_THREAD_ANNOTATION(lock_returned(lock))

/// On locks: `lock` is taken before this one, or after it, where both are held.
#define HELIX_ACQUIRED_AFTER(lock) HELIX_THREAD_ANNOTATION(acquired_after(lock))
#define HELIX_ACQUIRED_BEFORE(lock) HELIX_THREAD_ANNOTATION(acquired_before(lock))

/// On the one-line reader of data that is written with the lock held, atomically, and may be read without: as of now,
/// or a moment ago.
#define HELIX_READS_UNLOCKED HELIX_THREAD_ANNOTATION(no_thread_safety_analysis)

/// For the few functions that hand a lock on in a way the analysis cannot follow; a comment says how.
#define HELIX_NO_THREAD_SAFETY_ANALYSIS HELIX_THREAD_ANNOTATION(no_thread_safety_analysis)
