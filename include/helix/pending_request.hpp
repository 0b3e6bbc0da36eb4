// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// PendingRequest: a request that was started and goes on by itself, until somebody wants to know what came of it.
#pragma once

#include "helix/abi.hpp"
#include "helix/result.hpp"

namespace helix {

/// Context::start_request makes one. Movable; cancelled where it is dropped. It belongs to the module: one that is left
/// when the module stops is a leak, and cancelled. For one thread at a time.
class PendingRequest {
public:
    static constexpr uint64_t kForever = UINT64_MAX;

    PendingRequest() = default;
    PendingRequest(RequestId id, const Services* services, InstanceToken* self)
        : id_(id), services_(services), self_(self) {}
    PendingRequest(PendingRequest&& other) : id_(other.id_), services_(other.services_), self_(other.self_) {
        other.id_ = RequestId::None;
    }
    PendingRequest& operator=(PendingRequest&& other) {
        if (this != &other) {
            cancel();
            id_ = other.id_;
            services_ = other.services_;
            self_ = other.self_;
            other.id_ = RequestId::None;
        }
        return *this;
    }
    PendingRequest(const PendingRequest&) = delete;
    PendingRequest& operator=(const PendingRequest&) = delete;
    ~PendingRequest() { cancel(); }

    /// Whether something is pending, answered or not.
    bool started() const { return id_ != RequestId::None; }

    /// Waits up to `timeout_ns` (0: only looks) and gives what came of the request, as Context::request would; or
    /// TimedOut, if it had a time-out that is over. With that it is over and done with. Errors that leave it pending:
    /// Busy (no answer yet); Cancelled and Restart, as from thread_sleep.
    HELIX_CALLERS_LINE Result<Response> wait(uint64_t timeout_ns = kForever) {
        if (!started()) return Error(ErrorCode::NotFound, "no request was started");
        Result<Response> response = services_->request_wait(self_, id_, timeout_ns);
        if (!response.ok()) {
            const ErrorCode code = response.error().code();
            if (code == ErrorCode::Busy || code == ErrorCode::Cancelled || code == ErrorCode::Restart) return response;
        }
        id_ = RequestId::None;
        return response;
    }
    /// What has not begun never does; what has goes on, and its answer is dropped. Does not wait. Nothing is pending
    /// afterwards.
    void cancel() {
        if (started()) (void)services_->request_cancel(self_, id_).ok();
        id_ = RequestId::None;
    }

private:
    RequestId id_ = RequestId::None;
    const Services* services_ = nullptr;
    InstanceToken* self_ = nullptr;
};

}  // namespace helix
