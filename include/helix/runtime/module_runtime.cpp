// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What every module links: memory functions, operator new on the kernel's services, abort, and what the headers of the
// standard library call. Stays hidden in it; what is not called is not linked.

#include "helix/abi.hpp"

#include <new>
#ifdef _LIBCPP_VERSION
#include <__verbose_abort>
#include <cstdarg>
#else
#include <bits/functexcept.h>
#endif

namespace {
const helix::Services* g_services = nullptr;  // one for each mapping, set before the module is constructed
helix::InstanceToken* g_instance = nullptr;

void* allocate(size_t size, size_t alignment) {
    void* block = g_services->allocate(g_instance, size, alignment);
    if (block == nullptr) g_services->abort(g_instance, helix::Text("out of memory in operator new"));
    return block;
}
void release(void* block) {
    if (block != nullptr) g_services->free(g_instance, block);
}

/// Where the standard library would throw, the call into the module ends. `argument` stands for `%s` in `format`.
[[noreturn]] void give_up(const char* format, const char* argument) {
    helix::FixedText<100> reason;
    for (; *format != '\0'; ++format) {
        if (format[0] != '%' || format[1] != 's' || argument == nullptr) {
            reason.append(*format);
            continue;
        }
        for (++format; *argument != '\0'; ++argument) reason.append(*argument);
        argument = nullptr;
    }
    g_services->abort(g_instance, reason.text());
}
}  // namespace

namespace helix::runtime {
void attach(const Services* services, InstanceToken* instance) {
    g_services = services;
    g_instance = instance;
}
uint8_t* buffer_allocate(size_t size) {
    return g_services->buffer_allocate(g_instance, size);
}
void buffer_free(uint8_t* data) {
    g_services->buffer_free(g_instance, data);
}
}  // namespace helix::runtime

extern "C" {
void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
    void* const start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
    return start;
}
void* memset(void* to, int value, size_t size) {
    void* const start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return start;
}
void* memmove(void* to, const void* from, size_t size) {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    if (out <= in || out >= in + size) return memcpy(to, from, size);
    while (size-- > 0) {
        out[size] = in[size];
        asm volatile("" ::: "memory");  // keeps the compiler from turning this into a call of memmove
    }
    return to;
}
int memcmp(const void* a, const void* b, size_t size) {
    const auto* left = static_cast<const unsigned char*>(a);
    const auto* right = static_cast<const unsigned char*>(b);
    for (size_t i = 0; i < size; ++i)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}
void* memchr(const void* bytes, int value, size_t size) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (; size > 0; --size, ++at)
        if (*at == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(at);
    return nullptr;
}
size_t strlen(const char* text) {
    size_t size = 0;
    while (text[size] != '\0') {
        ++size;
        asm volatile("" ::: "memory");
    }
    return size;
}
[[noreturn]] void abort() {
    g_services->abort(g_instance, helix::Text("abort called"));
}
[[noreturn]] void __cxa_pure_virtual() {
    g_services->abort(g_instance, helix::Text("pure virtual method called"));
}
int __cxa_atexit(void (*)(void*), void*, void*) {
    return 0;
}
/// g++ calls it for std::popcount: not every x86-64 has the instruction. Sums in fields of 2, 4, 8 bits, then of all
/// bytes by a multiplication (Knuth, The Art of Computer Programming 4A, 7.1.3).
int __popcountdi2(long value) {
    auto bits = static_cast<unsigned long>(value);
    bits -= (bits >> 1) & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333);
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return static_cast<int>((bits * 0x0101010101010101) >> 56);
}
}

#ifdef _LIBCPP_VERSION
void std::__libcpp_verbose_abort(const char* format, ...) {
    // The library's messages have at most one argument, a text.
    va_list arguments;
    va_start(arguments, format);
    for (const char* at = format; *at != '\0'; ++at)
        if (at[0] == '%' && at[1] == 's') give_up(format, va_arg(arguments, const char*));
    give_up(format, nullptr);
}
#else
namespace std {
void __throw_bad_alloc() {
    give_up("std::bad_alloc", nullptr);
}
void __throw_bad_array_new_length() {
    give_up("std::bad_array_new_length", nullptr);
}
void __throw_bad_function_call() {
    give_up("std::bad_function_call", nullptr);
}
void __throw_logic_error(const char* message) {
    give_up("std::logic_error: %s", message);
}
void __throw_invalid_argument(const char* message) {
    give_up("std::invalid_argument: %s", message);
}
void __throw_length_error(const char* message) {
    give_up("std::length_error: %s", message);
}
void __throw_out_of_range(const char* message) {
    give_up("std::out_of_range: %s", message);
}
void __throw_out_of_range_fmt(const char* format, ...) {
    give_up("std::out_of_range: %s", format);  // the format names the function; its numbers are left out
}
}  // namespace std
#endif

void* operator new(size_t size) {
    return allocate(size, 16);
}
void* operator new[](size_t size) {
    return allocate(size, 16);
}
void* operator new(size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept {
    release(block);
}
void operator delete[](void* block) noexcept {
    release(block);
}
void operator delete(void* block, size_t) noexcept {
    release(block);
}
void operator delete[](void* block, size_t) noexcept {
    release(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
    release(block);
}
void operator delete(void* block, size_t, std::align_val_t) noexcept {
    release(block);
}
