// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Who waits for a module that does not come back is its victim: it is told so, and goes on.

#include "dawdler.hpp"

#include "helix/module.hpp"

using helix::test::Dawdler;

class DawdlerBetweenModule final : public helix::Implements<helix::test::DawdlerBetween> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"dawdler-between"}
                                      .version(1, 0, 0)
                                      .flags(helix::ModuleFlags::Experimental)
                                      .dependencies({"test.dawdler"})
                                      .provides({"test.dawdler_between"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        dawdler_ = TRY(context.bind<Dawdler>());
        return {};
    }
    helix::Result<void> start() override {
        enough_ = TRY(context_->semaphore_create(0));
        return {};
    }
    helix::Result<void> stop() override {
        dawdler_ = {};
        return context_->semaphore_destroy(enough_);
    }

    /// `enough`: one `be_patient` comes back.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type != "enough") return helix::ErrorCode::NotImplemented;
        TRY(context_->semaphore_signal(enough_));
        return helix::Response::ok_empty();
    }

    helix::Result<uint64_t> pass_on_wait() override { return count(dawdler_.call<&Dawdler::wait>()); }
    helix::Result<uint64_t> pass_on_loop() override { return count(dawdler_.call<&Dawdler::loop>()); }
    helix::Result<uint64_t> be_patient() override {
        TRY(context_->semaphore_wait(enough_));
        return failed_;
    }

private:
    helix::Result<uint64_t> count(const helix::Result<uint64_t>& result) {
        if (!result.ok()) ++failed_;
        return failed_;
    }

    const helix::Context* context_ = nullptr;
    helix::Handle<Dawdler> dawdler_;
    helix::SemaphoreId enough_ = helix::SemaphoreId::None;
    uint64_t failed_ = 0;
};
HELIX_MODULE(DawdlerBetweenModule)
