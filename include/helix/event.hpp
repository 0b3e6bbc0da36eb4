// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Events: what happens in the system, told to the modules that subscribed.
#pragma once

#include "helix/result.hpp"

namespace helix {

enum class EventKind : uint32_t { Tick = 1, Shutdown = 2, MemoryPressure = 3, CpuHotplug = 4, Custom = 5 };
enum class MemoryPressureLevel : uint32_t { Normal = 0, Low = 1, Critical = 2 };

/// One event. Only the part that belongs to `kind` means anything; texts and data die with the call.
struct Event {
    struct Tick {
        uint64_t timestamp_ns;  ///< monotonic, since boot
    };
    struct MemoryPressure {
        MemoryPressureLevel level;
    };
    struct CpuHotplug {
        CpuId cpu_id;
        bool online;
    };
    struct Custom {
        Text name;
        Bytes data;
    };

    EventKind kind;
    union {
        Tick tick;
        MemoryPressure memory_pressure;
        CpuHotplug cpu_hotplug;
        Custom custom;
    };

    static Event make_tick(uint64_t timestamp_ns) { return {.kind = EventKind::Tick, .tick = {timestamp_ns}}; }
    static Event make_shutdown() { return {.kind = EventKind::Shutdown, .tick = {0}}; }
    static Event make_memory_pressure(MemoryPressureLevel level) {
        return {.kind = EventKind::MemoryPressure, .memory_pressure = {level}};
    }
    static Event make_cpu_hotplug(CpuId cpu, bool online) {
        return {.kind = EventKind::CpuHotplug, .cpu_hotplug = {cpu, online}};
    }
    static Event make_custom(Text name, Bytes data) { return {.kind = EventKind::Custom, .custom = {name, data}}; }
};

/// What a module made of an event: Handled, Ignored, or an error with its sentence.
class EventResponse {
public:
    enum class Kind : uint32_t { Handled, Ignored, Error };

    static EventResponse handled() { return EventResponse(Kind::Handled, ErrorCode::InvalidState); }
    static EventResponse ignored() { return EventResponse(Kind::Ignored, ErrorCode::InvalidState); }
    static EventResponse error(Text sentence) {
        return EventResponse(Kind::Error, Error(ErrorCode::InvalidState, sentence));
    }

    Kind kind() const { return kind_; }
    Text sentence() const { return kind_ == Kind::Error ? error_.sentence() : Text(); }

private:
    EventResponse(Kind kind, Error error) : kind_(kind), error_(error) {}
    Kind kind_;
    Error error_;
};

}  // namespace helix
