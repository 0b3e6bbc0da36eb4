// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What every module links: memory functions, operator new on the kernel's services, abort. Stays hidden in it.

#include "helix/abi.hpp"

#include <new>

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
}

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
