// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Two policies that time an eviction: one faults in a pick when it is told to, the other notes when it picks again.
//
// Built twice, each under its own name.

#include "../scheduler/round_robin/round_robin.hpp"

#if defined(HELIX_BENCHMARK_WITNESS)
#define HELIX_BENCHMARK_NAME "helix-benchmark-witness"
#else
#define HELIX_BENCHMARK_NAME "helix-benchmark-eviction"
#endif

class BenchmarkEviction final : public helix::scheduling::RoundRobinPolicy {
public:
    static constexpr auto kInfo =
        helix::ModuleInfo{HELIX_BENCHMARK_NAME}
            .version(1, 0, 0)
            .description("A policy that times how soon it comes back, or is taken out; requests: arm, cycles")
            .author("Helix contributors")
            .license("MIT OR Apache-2.0")
            .flags(helix::ModuleFlags::Scheduler | helix::ModuleFlags::HotReloadable)
            .dependencies({"helix-execution >=1.0"})
            .provides({"helix.scheduler"});

    /// Of the witness: `arm`: its next pick is timed; answers with the address, in decimal, where it takes the time of
    /// the fault. `times`: of the fault and of that pick, in cycles; 0 until then. Of the other: `fault ADDRESS`: its
    /// next pick writes the time there, and faults.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "arm") {
            fault_cycles_ = pick_cycles_ = 0;
            __atomic_store_n(&armed_, &pick_cycles_, __ATOMIC_RELEASE);
            return helix::Response::ok(helix::format<24>("{}", reinterpret_cast<uint64_t>(&fault_cycles_)).text());
        }
        if (request.request_type == "fault") {
            uint64_t address = 0;
            if (!helix::parse_unsigned(helix::as_text(request.payload), address))
                return helix::Response::err("fault ADDRESS");
            faults_ = true;
            __atomic_store_n(&armed_, reinterpret_cast<uint64_t*>(address), __ATOMIC_RELEASE);
            return helix::Response::ok_empty();
        }
        if (request.request_type == "times")
            return helix::Response::ok(helix::format<48>("{} {}", __atomic_load_n(&fault_cycles_, __ATOMIC_ACQUIRE),
                                                         __atomic_load_n(&pick_cycles_, __ATOMIC_ACQUIRE))
                                           .text());
        return RoundRobinPolicy::handle_request(request);
    }
    helix::SchedulerThread* pick_next(helix::SchedulerCpu& cpu) override {
        note_pick();
        return RoundRobinPolicy::pick_next(cpu);
    }
    helix::SchedulerThread* yield(helix::SchedulerCpu& cpu, helix::SchedulerThread& thread,
                                  helix::EnqueueReason reason) override {
        note_pick();
        return RoundRobinPolicy::yield(cpu, thread, reason);
    }

private:
    void note_pick() {
        if (__builtin_expect(__atomic_load_n(&armed_, __ATOMIC_RELAXED) == nullptr, 1)) return;
        uint64_t* const place = __atomic_exchange_n(&armed_, nullptr, __ATOMIC_ACQ_REL);
        if (place == nullptr) return;
        uint32_t low = 0, high = 0;
        asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
        __atomic_store_n(place, uint64_t{high} << 32 | low, __ATOMIC_RELEASE);
        if (faults_) asm volatile("ud2");
    }

    uint64_t* armed_ = nullptr;  ///< where the next pick writes its time; atomic
    bool faults_ = false;
    uint64_t fault_cycles_ = 0;  // atomic
    uint64_t pick_cycles_ = 0;   // atomic
};
HELIX_MODULE(BenchmarkEviction)
