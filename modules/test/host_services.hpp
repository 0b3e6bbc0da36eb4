// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernel services on pthreads, so that unit tests drive a module as an ordinary object of the test's process.
//
// Covers what modules here use: configuration, time, log, requests' buffers, memory, threads (a reservation is
// refused), semaphores, numbers. Other entries of the table are null: a test that reaches one crashes. One HostServices
// a test, alive until every thread was joined.
#pragma once

#include "helix/module.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace helix::test_support {

class HostServices {
public:
    HostServices() {
        table_.size = sizeof(table_);
        table_.abi_version = kAbiVersion;
        table_.log = [](InstanceToken* self, LogLevel, Text line) {
            std::lock_guard lock(of(self).mutex_);
            of(self).log_.append(line.data(), line.size()).append("\n");
        };
        table_.now_ns = [](InstanceToken*) -> uint64_t {
            return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                             std::chrono::steady_clock::now().time_since_epoch())
                                             .count());
        };
        table_.abort = end;
        table_.config = [](InstanceToken* self, Text key) -> Result<Text> {
            const auto found = of(self).config_.find(std::string(key.data(), key.size()));
            if (found == of(self).config_.end()) return ErrorCode::NotFound;
            return Text(found->second);
        };
        table_.allocate = [](InstanceToken*, size_t size, size_t alignment) {
            return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
        };
        table_.free = [](InstanceToken*, void* block) { std::free(block); };
        table_.kept_memory = [](InstanceToken* self, Text name, uint32_t version, size_t size,
                                size_t) -> Result<void*> {
            auto& region = of(self).kept_[std::string(name.data(), name.size()) + std::to_string(version)];
            if (region.empty()) region.resize(size);
            if (region.size() != size) return ErrorCode::InvalidArgument;
            return static_cast<void*>(region.data());
        };
        table_.thread_create = [](InstanceToken* self, Text, ThreadEntry entry, void* argument,
                                  uint32_t) -> Result<ThreadId> {
            HostServices& host = of(self);
            std::lock_guard lock(host.mutex_);
            if (host.thread_limit_ != 0 && host.created_ >= host.thread_limit_) return ErrorCode::OutOfMemory;
            const uint32_t id = ++host.created_;
            auto record = std::make_shared<Thread>();
            host.threads_[id] = record;
            std::thread([entry, argument, record, id] {
                current_ = id;
                use_cpu();
                entry(argument);
                std::lock_guard done(record->mutex);
                record->ended = true;
                record->changed.notify_all();
            }).detach();
            return ThreadId(id);
        };
        table_.thread_yield = [](InstanceToken*) { std::this_thread::yield(); };
        table_.thread_sleep = [](InstanceToken*, uint64_t duration_ns) -> Result<void> {
            std::this_thread::sleep_for(std::chrono::nanoseconds(duration_ns));
            return {};
        };
        table_.thread_join = [](InstanceToken* self, ThreadId id) -> Result<void> {
            std::shared_ptr<Thread> record;
            {
                std::lock_guard lock(of(self).mutex_);
                record = of(self).threads_.at(static_cast<uint32_t>(id));
            }
            std::unique_lock wait(record->mutex);
            record->changed.wait(wait, [&] { return record->ended; });
            return {};
        };
        table_.thread_current = [](InstanceToken*) { return ThreadId(current_); };
        table_.thread_set_attributes = [](InstanceToken*, ThreadId,
                                          const SchedulingAttributes* wanted) -> Result<void> {
            if (!wanted->is_valid()) return ErrorCode::InvalidArgument;
            if (wanted->reserves()) return ErrorCode::Busy;
            return {};
        };
        table_.thread_set_affinity = [](InstanceToken*, ThreadId, uint64_t cpus) -> Result<void> {
            if (cpus == 0) return ErrorCode::InvalidArgument;
            return {};
        };
        table_.semaphore_create = [](InstanceToken* self, uint32_t initial) -> Result<SemaphoreId> {
            std::lock_guard lock(of(self).mutex_);
            const uint32_t id = ++of(self).next_semaphore_;
            of(self).semaphores_[id] = std::make_shared<Semaphore>(initial);
            return SemaphoreId(id);
        };
        table_.semaphore_destroy = [](InstanceToken* self, SemaphoreId id) -> Result<void> {
            std::lock_guard lock(of(self).mutex_);
            if (of(self).semaphores_.erase(static_cast<uint32_t>(id)) == 0) return ErrorCode::NotFound;
            return {};
        };
        table_.semaphore_wait = [](InstanceToken* self, SemaphoreId id, uint64_t timeout_ns) -> Result<void> {
            const auto semaphore = of(self).semaphore(id);
            if (semaphore == nullptr) return ErrorCode::NotFound;
            std::unique_lock lock(semaphore->mutex);
            const auto available = [&] { return semaphore->count > 0; };
            if (timeout_ns == Context::kForever)
                semaphore->changed.wait(lock, available);
            else if (!semaphore->changed.wait_for(lock, std::chrono::nanoseconds(timeout_ns), available))
                return ErrorCode::TimedOut;
            --semaphore->count;
            return {};
        };
        table_.semaphore_signal = [](InstanceToken* self, SemaphoreId id) -> Result<void> {
            const auto semaphore = of(self).semaphore(id);
            if (semaphore == nullptr) return ErrorCode::NotFound;
            std::lock_guard lock(semaphore->mutex);
            ++semaphore->count;
            semaphore->changed.notify_one();
            return {};
        };
        table_.execution_statistics = [](InstanceToken*, ExecutionStatistics* out) { *out = {1, 2, 3, 4, 5}; };
        table_.memory_statistics = [](InstanceToken*, MemoryStatistics* out) { *out = {1, 2, 3, 4, 4096}; };
    }
    HostServices(const HostServices&) = delete;
    HostServices& operator=(const HostServices&) = delete;

    /// The defaults that a module declares; `set` changes one as a profile would.
    template <size_t N>
    void declare(const Option (&options)[N]) {
        for (const Option& option : options) {
            const Text value = option.default_value.text();
            config_[std::string(option.key.data(), option.key.size())] = std::string(value.data(), value.size());
        }
    }
    void set(const std::string& key, const std::string& value) { config_[key] = value; }
    /// After so many threads thread_create fails; 0 means never.
    void limit_threads(uint32_t count) { thread_limit_ = count; }

    const Context& context() const { return context_; }
    /// The table itself, for tests that replace a service.
    Services& services() { return table_; }
    size_t semaphores_alive() const { return semaphores_.size(); }
    bool all_threads_ended() {
        std::lock_guard lock(mutex_);
        for (auto& [id, thread] : threads_) {
            std::lock_guard state(thread->mutex);
            if (!thread->ended) return false;
        }
        return true;
    }
    std::string log() {
        std::lock_guard lock(mutex_);
        return log_;
    }

private:
    struct Thread {
        std::mutex mutex;
        std::condition_variable changed;
        bool ended = false;
    };
    struct Semaphore {
        explicit Semaphore(uint32_t initial) : count(initial) {}
        std::mutex mutex;
        std::condition_variable changed;
        uint32_t count;
    };

    /// Threads of a module may ask on which CPU they run: all of them on CPU 0.
    static void use_cpu() {
        static thread_local CpuLocal local{};
        local.self = &local;
        constexpr int kSetGs = 0x1001;  // ARCH_SET_GS of <asm/prctl.h>
        if (syscall(SYS_arch_prctl, kSetGs, &local) != 0) std::abort();
    }

    __attribute__((noreturn)) static void end(InstanceToken*, Text reason) {
        fprintf(stderr, "module aborted: %.*s\n", static_cast<int>(reason.size()), reason.data());
        std::abort();
    }
    static HostServices& of(InstanceToken* self) { return *reinterpret_cast<HostServices*>(self); }
    std::shared_ptr<Semaphore> semaphore(SemaphoreId id) {
        std::lock_guard lock(mutex_);
        const auto found = semaphores_.find(static_cast<uint32_t>(id));
        return found == semaphores_.end() ? nullptr : found->second;
    }

    static inline thread_local uint32_t current_ = 0;

    std::mutex mutex_;
    std::map<std::string, std::string> config_;
    std::map<std::string, std::string> kept_;
    std::map<uint32_t, std::shared_ptr<Thread>> threads_;
    std::map<uint32_t, std::shared_ptr<Semaphore>> semaphores_;
    std::string log_;
    uint32_t created_ = 0;
    uint32_t next_semaphore_ = 0;
    uint32_t thread_limit_ = 0;
    Services table_{};
    Context context_{&table_, reinterpret_cast<InstanceToken*>(this), InstanceId(1)};
};

/// Stands for a Handle where no gate is needed: `call` goes straight to the object.
template <typename Interface>
class DirectTarget {
public:
    explicit DirectTarget(Interface& object) : object_(&object) {}
    template <auto Method, typename... Arguments>
    auto call(Arguments&&... arguments) const {
        using R = decltype((object_->*Method)(arguments...));
        if constexpr (std::is_void_v<R>) {
            (object_->*Method)(arguments...);
            return Result<void>();
        } else {
            return Result<R>((object_->*Method)(arguments...));
        }
    }

private:
    Interface* object_;
};

}  // namespace helix::test_support

namespace helix::runtime {
// What modules link privately. Weak, so that a test program that has the kernel's own uses those.
__attribute__((weak)) uint8_t* buffer_allocate(size_t size) {
    return static_cast<uint8_t*>(std::malloc(size));
}
__attribute__((weak)) void buffer_free(uint8_t* data) {
    std::free(data);
}
}  // namespace helix::runtime
