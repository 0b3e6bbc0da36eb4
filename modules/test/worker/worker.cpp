// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads of a module's own stand still while its state is taken: what they change in two steps is never seen half
// done, no item is handled twice or by nobody, and who is woken meanwhile goes on afterwards.
//
// Version 3 fails in start. Version 4 waits there, in another module, for what only a thread of the one before does.

#include "../waiter/waiter.hpp"
#include "helix/module.hpp"

class Worker final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"worker"}
                                      .version(WORKER_VERSION, 0, 0)
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        if (WORKER_VERSION == 3) return helix::Error(helix::ErrorCode::InvalidState, "start fails on purpose");
        if (WORKER_VERSION == 4) {
            const auto waiter = TRY(context_->bind<helix::test::Waiter>());
            TRY(waiter.call<&helix::test::Waiter::listen>());
        }
        kept_ = TRY(context_->kept_memory<Kept>("handled"));
        for (helix::SemaphoreId* semaphore : {&work_, &bell_}) *semaphore = TRY(context_->semaphore_create(0));
        lock_ = TRY(context_->semaphore_create(1));
        if (juggling_) TRY(begin_juggling());
        for (uint64_t item = next_; item < posted_; ++item) TRY(context_->semaphore_signal(work_));
        return {};
    }
    helix::Result<void> stop() override {
        linger(50);  // there is work to do for those who do not stand still
        __atomic_store_n(&ending_, true, __ATOMIC_RELEASE);
        __atomic_store_n(&enough_, true, __ATOMIC_RELEASE);
        for (size_t i = 0; i < count_; ++i)
            for (const helix::SemaphoreId semaphore : {work_, bell_}) TRY(context_->semaphore_signal(semaphore));
        while (count_ > 0) TRY(context_->thread_join(threads_[--count_]));
        for (const helix::SemaphoreId semaphore : {work_, bell_, lock_}) TRY(context_->semaphore_destroy(semaphore));
        return {};
    }

    /// Slowly, so that whoever does not stand still is caught. The bell rings for the thread that waits for it.
    helix::Result<void> save_state(helix::StateWriter& state) override {
        if (guarded_) TRY(context_->semaphore_wait(lock_));
        TRY(state.put("juggling", uint64_t{juggling_}));
        for (size_t i = 0; i < kPairs; ++i) {
            TRY(state.put(kSecond[i], load(pairs_[i].second)));
            linger(20);
            TRY(state.put(kFirst[i], load(pairs_[i].first)));
        }
        TRY(state.put("next", load(next_)));
        TRY(state.put("posted", posted_));
        TRY(context_->semaphore_signal(bell_));
        linger(200);
        if (load(heard_) != 0) early_ = true;
        if (guarded_) TRY(context_->semaphore_signal(lock_));
        return {};
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        juggling_ = TRY(state.get_unsigned("juggling")) != 0;
        for (size_t i = 0; i < kPairs; ++i) {
            pairs_[i].first = TRY(state.get_unsigned(kFirst[i]));
            pairs_[i].second = TRY(state.get_unsigned(kSecond[i]));
            if (pairs_[i].first != pairs_[i].second)
                return helix::Error(helix::ErrorCode::Corrupt, helix::format("pair {} is half done", i).text());
        }
        next_ = TRY(state.get_unsigned("next"));
        posted_ = TRY(state.get_unsigned("posted"));
        return {};
    }

    /// `juggle`: threads begin to change pairs and to handle items. `rounds`: waits until each pair was changed.
    /// `post N`: so many items more; `handled`: waits for their end, and how many were handled other than once.
    /// `guard`: a thread changes the last pair with a lock held in which it sleeps, and save_state takes that first.
    /// `listen`: a thread waits for the bell; `heard`: waits until it heard that, and whether that was in save_state;
    /// `hears`: does not wait for that.
    /// `speak`: after half a second a thread makes the request `speak` of the module waiter.
    /// `hog`: a thread computes without ever calling the kernel; `enough`: it ends.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "juggle") {
            juggling_ = true;
            TRY(begin_juggling());
        } else if (type == "rounds") {
            for (size_t i = 0; i < kJugglers; ++i)
                for (const uint64_t before = load(pairs_[i].first); load(pairs_[i].second) <= before + 1;)
                    TRY(context_->thread_sleep(1'000'000));
        } else if (type == "post") {
            uint64_t more = 0;
            if (!helix::parse_unsigned(helix::as_text(request.payload), more) || posted_ + more > kItems)
                return helix::Response::err("post N: a number, 256 in all");
            posted_ += more;
            for (; more > 0; --more) TRY(context_->semaphore_signal(work_));
        } else if (type == "handled") {
            return handled();
        } else if (type == "guard") {
            guarded_ = true;
            TRY(begin("guard", guard_main, this));
        } else if (type == "listen") {
            heard_ = 0;
            early_ = false;
            TRY(begin("listener", listen_main, this));
        } else if (type == "heard") {
            while (load(heard_) == 0) TRY(context_->thread_sleep(1'000'000));
            return helix::Response::ok(early_ ? helix::Text("heard too early") : helix::Text("heard in time"));
        } else if (type == "hears") {
            return helix::Response::ok(load(heard_) == 0 ? helix::Text("not yet") : helix::Text("by now"));
        } else if (type == "speak") {
            TRY(begin("speaker", speak_main, this));
        } else if (type == "hog") {
            __atomic_store_n(&enough_, false, __ATOMIC_RELEASE);
            TRY(begin("hog", hog_main, this));
            while (load(hogging_) == 0) TRY(context_->thread_sleep(1'000'000));
        } else if (type == "enough") {
            __atomic_store_n(&enough_, true, __ATOMIC_RELEASE);
            TRY(context_->thread_join(threads_[--count_]));
        } else {
            return helix::ErrorCode::NotImplemented;
        }
        return helix::Response::ok_empty();
    }

private:
    static constexpr size_t kJugglers = 3, kHandlers = 2, kPairs = kJugglers + 1;
    static constexpr uint64_t kItems = 256;
    static constexpr helix::Text kFirst[kPairs] = {"first 0", "first 1", "first 2", "first 3"};
    static constexpr helix::Text kSecond[kPairs] = {"second 0", "second 1", "second 2", "second 3"};

    struct Kept {
        uint32_t times[kItems];
    };
    struct Pair {
        Worker* worker = nullptr;
        uint64_t first = 0;
        uint64_t second = 0;
    };

    static uint64_t load(const uint64_t& value) { return __atomic_load_n(&value, __ATOMIC_ACQUIRE); }
    static void add_one(uint64_t& value) { __atomic_store_n(&value, value + 1, __ATOMIC_RELEASE); }
    bool ends() const { return __atomic_load_n(&ending_, __ATOMIC_ACQUIRE); }
    /// Others may run meanwhile, but this thread does not wait.
    void linger(int calls) const {
        for (; calls > 0; --calls) (void)context_->now_ns();
    }

    helix::Result<void> begin(helix::Text name, helix::ThreadEntry main, void* argument) {
        if (count_ == kThreads) return helix::ErrorCode::OutOfRange;
        threads_[count_] = TRY(context_->thread_create(name, main, argument));
        ++count_;
        return {};
    }
    helix::Result<void> begin_juggling() {
        for (size_t i = 0; i < kJugglers; ++i) {
            pairs_[i].worker = this;
            TRY(begin("juggler", juggle_main, &pairs_[i]));
        }
        for (size_t i = 0; i < kHandlers; ++i) TRY(begin("handler", handle_main, this));
        return {};
    }
    static void juggle_main(void* argument) {
        auto& pair = *static_cast<Pair*>(argument);
        const Worker& worker = *pair.worker;
        for (uint64_t round = 0; !worker.ends(); ++round) {
            add_one(pair.first);
            worker.linger(10);
            add_one(pair.second);
            if (round % 4 == 0)
                (void)worker.context_->thread_sleep(1000).ok();
            else
                worker.context_->thread_yield();
        }
    }
    static void handle_main(void* argument) {
        auto& worker = *static_cast<Worker*>(argument);
        while (worker.context_->semaphore_wait(worker.work_).ok() && !worker.ends()) {
            const uint64_t item = __atomic_fetch_add(&worker.next_, 1, __ATOMIC_ACQ_REL);
            worker.linger(10);
            __atomic_fetch_add(&worker.kept_->times[item], 1, __ATOMIC_ACQ_REL);
        }
    }
    static void guard_main(void* argument) {
        auto& worker = *static_cast<Worker*>(argument);
        const helix::Context& context = *worker.context_;
        while (!worker.ends()) {
            if (!context.semaphore_wait(worker.lock_).ok()) return;
            add_one(worker.pairs_[kJugglers].first);
            (void)context.thread_sleep(2'000'000).ok();
            add_one(worker.pairs_[kJugglers].second);
            (void)context.semaphore_signal(worker.lock_).ok();
            (void)context.thread_sleep(100'000).ok();
        }
    }
    static void listen_main(void* argument) {
        auto& worker = *static_cast<Worker*>(argument);
        if (worker.context_->semaphore_wait(worker.bell_).ok()) add_one(worker.heard_);
    }
    static void speak_main(void* argument) {
        const auto& worker = *static_cast<Worker*>(argument);
        if (worker.context_->thread_sleep(500'000'000).ok()) (void)worker.context_->request("waiter", {"speak"}).ok();
    }
    static void hog_main(void* argument) {
        auto& worker = *static_cast<Worker*>(argument);
        add_one(worker.hogging_);
        while (!__atomic_load_n(&worker.enough_, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
    }
    helix::Result<helix::Response> handled() {
        uint64_t total = 0;
        uint64_t wrong = 0;
        while (load(next_) < posted_) TRY(context_->thread_sleep(1'000'000));
        for (uint64_t item = 0; item < posted_;) {
            const uint32_t times = __atomic_load_n(&kept_->times[item], __ATOMIC_ACQUIRE);
            if (times == 0 && ++total < 100) {  // it is under way, or lost
                TRY(context_->thread_sleep(1'000'000));
                continue;
            }
            wrong += times != 1;
            ++item;
        }
        return helix::Response::ok(helix::format<60>("{} handled, {} other than once", posted_, wrong).text());
    }

    static constexpr size_t kThreads = 12;

    const helix::Context* context_ = nullptr;
    Kept* kept_ = nullptr;
    Pair pairs_[kPairs];
    uint64_t next_ = 0;
    uint64_t posted_ = 0;
    uint64_t heard_ = 0;
    uint64_t hogging_ = 0;
    bool early_ = false;
    bool juggling_ = false;
    bool guarded_ = false;
    bool ending_ = false;
    bool enough_ = true;
    helix::SemaphoreId work_ = helix::SemaphoreId::None;
    helix::SemaphoreId bell_ = helix::SemaphoreId::None;
    helix::SemaphoreId lock_ = helix::SemaphoreId::None;
    helix::ThreadId threads_[kThreads] = {};
    size_t count_ = 0;
};
HELIX_MODULE(Worker)
