// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module that is slow with an event holds back nobody else; what it misses meanwhile is counted.

#include "helix/module.hpp"

class Laggard final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"laggard"}
                                      .version(1, 0, 0)
                                      .description("Stays with a note until the listener has heard what it says")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    static constexpr helix::Option kOptions[] = {
        helix::Option::boolean("ticks", true, "Whether it hears ticks"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        notes_ = TRY(context_->kept_memory<uint64_t>("notes"));
        if (TRY(context_->config_boolean("ticks"))) TRY(context_->subscribe(helix::EventKind::Tick));
        return context_->subscribe("note");
    }
    helix::Result<void> stop() override { return {}; }

    /// A note's data is "200 notes" or "3 ticks", or "at TIME", which takes it 50 ms, or empty.
    helix::EventResponse handle_event(const helix::Event& event) override {
        if (event.kind == helix::EventKind::Tick) {
            ++ticks_;
            return helix::EventResponse::handled();
        }
        ++*notes_;
        const helix::Text wanted = helix::as_text(event.custom.data);
        if (wanted.starts_with("at ")) {
            (void)context_->thread_sleep(50'000'000).ok();
            return helix::EventResponse::handled();
        }
        const size_t space = wanted.find(' ');
        int64_t count = 0;
        if (!helix::parse_integer(wanted.substr(0, space), count)) return helix::EventResponse::handled();
        ticks_before_ = ticks_;
        while (heard(wanted.substr(space + 1)) < count)
            if (!context_->thread_sleep(20'000'000).ok()) return helix::EventResponse::error("interrupted");
        ++waits_;
        return helix::EventResponse::handled();
    }

    /// `heard`: what it heard so far; `ticks_since`: ticks after it last waited began; `waits`: waits that came to
    /// their end.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "heard") return helix::ErrorCode::NotImplemented;
        return helix::Response::ok(
            helix::format("{{\"notes\":{},\"waits\":{},\"ticks_since\":{}}}", *notes_, waits_, ticks_ - ticks_before_)
                .text());
    }

private:
    /// How many `things` the listener heard; -1 if it does not say.
    int64_t heard(helix::Text things) {
        const auto answer = context_->request("listener", {things});
        if (!answer.ok()) return -1;
        const auto count = helix::value_of<uint64_t>(answer.value().payload().bytes());
        return count.ok() ? static_cast<int64_t>(count.value()) : -1;
    }

    const helix::Context* context_ = nullptr;
    uint64_t* notes_ = nullptr;  // of all instances
    uint64_t waits_ = 0;
    uint64_t ticks_ = 0;
    uint64_t ticks_before_ = 0;
};
HELIX_MODULE(Laggard)
