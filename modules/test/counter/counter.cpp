// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// State passes through a reload: a counter in CBOR and 64 KB of kept memory, also to a version with a newer schema.
//
// Version 2 (schema 2) counts additions too and reads the state of version 1; version 1 cannot read that of version 2.
// Version 3 fails at one point of its way into service, having taken of everything that a module can own.

#include "helix/module.hpp"

#ifndef COUNTER_FAILS
#define COUNTER_FAILS ""  // "init", "start", "restore" and "health" fail; "request" crashes in the first one
#endif

class Counter final : public helix::Module {
public:
    static constexpr uint32_t kSchema = COUNTER_VERSION;
    static constexpr auto kInfo = helix::ModuleInfo{"counter"}
                                      .version(COUNTER_VERSION, 0, 0)
                                      .description("Counts, and keeps its count through reloads")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
                                      .state_schema(kSchema);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        if (kFails.empty()) return {};
        TRY(take_of_everything());
        return fail_if("init");
    }
    helix::Result<void> start() override {
        kept_ = TRY(context_->kept_memory<Kept>("entries"));
        if (!restored_) {  // restarted without state: what kept memory holds is the truth, if it holds together
            count_ = kept_->entries[0];
            if (!agree()) {
                *kept_ = Kept{};
                count_ = 0;
            }
        }
        return fail_if("start");
    }
    helix::Result<void> stop() override {
        if (!kFails.empty()) context_->warning("the counter that fails in {} was stopped", kFails);
        return {};
    }

    /// `add [N]` adds N (1), `get` reads; both give the counter. An error when kept memory and state disagree.
    /// `version` gives the module's own major version, `additions` (version 2) how often something was added,
    /// `restored` why its state was given to it: "no", "reload" or "rollback".
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (kFails == "request") asm volatile("ud2");
        if (request.request_type == "restored") return helix::Response::ok(restored_why_);
        if (request.request_type == "version") return number(COUNTER_VERSION);
        if (request.request_type == "additions" && COUNTER_VERSION >= 2) return number(additions_);
        if (request.request_type == "add") {
            uint64_t amount = 1;
            const helix::Text payload = helix::as_text(request.payload);
            if (!payload.empty() && !helix::parse_unsigned(payload, amount))
                return helix::Response::err("add [N]: N is not a number");
            if (!agree()) return helix::Response::err("kept memory does not match the counter");
            write(count_ + amount);
            return number(count_);
        }
        if (request.request_type != "get") return helix::ErrorCode::NotImplemented;
        if (!agree()) return helix::Response::err("kept memory does not match the counter");
        return number(count_);
    }
    bool is_healthy() const override { return kFails != "health" && (kept_ == nullptr || agree()); }

    helix::Result<void> save_state(helix::StateWriter& state) override {
        if (COUNTER_VERSION >= 2) TRY(state.put("additions", additions_));
        return state.put("count", count_);
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason reason) override {
        if (state.schema() > kSchema)
            return helix::Error(helix::ErrorCode::Incompatible, "the state is of a newer schema");
        count_ = TRY(state.get_unsigned("count"));
        if (state.schema() >= 2) additions_ = TRY(state.get_unsigned("additions"));
        restored_ = true;
        restored_why_ = reason == helix::Reason::Rollback ? helix::Text("rollback") : helix::Text("reload");
        return fail_if("restore");
    }

private:
    static constexpr helix::Text kFails = COUNTER_FAILS;

    static helix::Result<void> fail_if(helix::Text where) {
        if (kFails != where) return {};
        return helix::Error(helix::ErrorCode::InvalidState, helix::format("{} fails on purpose", where).text());
    }
    /// What the kernel has to take back: memory, a semaphore, a thread that waits for ever, a subscription.
    helix::Result<void> take_of_everything() {
        static_cast<unsigned char*>(::operator new(20'000))[0] = 1;
        never_ = TRY(context_->semaphore_create(0));
        TRY(context_->subscribe("counted"));
        (void)TRY(context_->thread_create("counter", wait_for_ever, this));
        return {};
    }
    static void wait_for_ever(void* self) {
        const auto& module = *static_cast<Counter*>(self);
        while (module.context_->semaphore_wait(module.never_).ok()) {
        }
    }

    /// Every entry holds the counter plus its own index, so that a byte that got lost shows.
    struct Kept {
        static constexpr uint64_t kEntries = 8192;
        uint64_t entries[kEntries];
    };
    static_assert(sizeof(Kept) == 65536);

    static helix::Response number(uint64_t value) { return helix::Response::ok(helix::format<20>("{}", value).text()); }
    void write(uint64_t value) {
        count_ = value;
        ++additions_;
        for (uint64_t i = 0; i < Kept::kEntries; ++i) kept_->entries[i] = value + i;
    }
    bool agree() const {
        const bool fresh = count_ == 0 && kept_->entries[1] == 0;
        for (uint64_t i = 0; i < Kept::kEntries; ++i)
            if (kept_->entries[i] != (fresh ? 0 : count_ + i)) return false;
        return true;
    }

    const helix::Context* context_ = nullptr;
    Kept* kept_ = nullptr;
    uint64_t count_ = 0;
    uint64_t additions_ = 0;
    bool restored_ = false;
    helix::Text restored_why_ = "no";
    helix::SemaphoreId never_ = helix::SemaphoreId::None;
};
HELIX_MODULE(Counter)
