// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The counter notices when kept memory and state do not belong together, and reads what older versions wrote.

#include "../host_services.hpp"

#include <gtest/gtest.h>

#include <string>

#undef HELIX_MODULE
#define HELIX_MODULE(Class)
#define COUNTER_VERSION 2
#include "counter.cpp"

namespace {
using namespace helix;

std::string ask(Counter& counter, Text type, Text payload = {}) {
    auto result = counter.handle_request({InstanceId::None, type, as_bytes(payload)});
    if (!result.ok()) return std::string(result.error().sentence());
    return std::string(result.value().is_ok() ? result.value().payload().text() : result.value().sentence());
}
Result<StateReader> state_of(uint32_t schema, uint8_t (&buffer)[128], uint64_t count) {
    StateWriter writer(MutableBytes(buffer, sizeof(buffer)), schema);
    EXPECT_TRUE(writer.put("count", count).ok());
    if (schema >= 2) EXPECT_TRUE(writer.put("additions", uint64_t{3}).ok());
    return StateReader::open(writer.finish().value());
}

TEST(Counter, StateAndKeptMemoryPassToTheNextInstance) {
    test_support::HostServices host;
    Counter first;
    ASSERT_TRUE(first.init(host.context()).ok() && first.start().ok());
    EXPECT_EQ(ask(first, "get"), "0");
    EXPECT_EQ(ask(first, "add"), "1");
    EXPECT_EQ(ask(first, "add", "41"), "42");
    uint8_t buffer[128];
    StateWriter writer(MutableBytes(buffer, sizeof(buffer)), 2);
    ASSERT_TRUE(first.save_state(writer).ok());
    auto reader = StateReader::open(writer.finish().value());
    ASSERT_TRUE(reader.ok());
    Counter second;
    ASSERT_TRUE(second.init(host.context()).ok());
    ASSERT_TRUE(second.restore_state(reader.value(), Reason::Reload).ok());
    ASSERT_TRUE(second.start().ok());
    EXPECT_TRUE(second.is_healthy());
    EXPECT_EQ(ask(second, "get"), "42");
    EXPECT_EQ(ask(second, "additions"), "2");
}

TEST(Counter, AnOlderSchemaIsReadAndANewerRefused) {
    test_support::HostServices host;
    uint8_t buffer[128];
    Counter counter;
    ASSERT_TRUE(counter.init(host.context()).ok());
    auto old = state_of(1, buffer, 0);
    EXPECT_TRUE(counter.restore_state(old.value(), Reason::Reload).ok());
    auto newer = state_of(3, buffer, 0);
    EXPECT_EQ(counter.restore_state(newer.value(), Reason::Reload).error().code(), ErrorCode::Incompatible);
}

TEST(Counter, AStateThatDoesNotMatchKeptMemoryIsUnhealthy) {
    test_support::HostServices host;
    uint8_t buffer[128];
    Counter counter;
    ASSERT_TRUE(counter.init(host.context()).ok());
    auto state = state_of(2, buffer, 7);
    ASSERT_TRUE(counter.restore_state(state.value(), Reason::Reload).ok());
    ASSERT_TRUE(counter.start().ok());
    EXPECT_FALSE(counter.is_healthy());
    EXPECT_EQ(ask(counter, "get"), "kept memory does not match the counter");
}

TEST(Counter, WithoutStateItGoesOnFromKeptMemory) {
    test_support::HostServices host;
    Counter first;
    ASSERT_TRUE(first.init(host.context()).ok() && first.start().ok());
    EXPECT_EQ(ask(first, "add", "9"), "9");
    Counter second;
    ASSERT_TRUE(second.init(host.context()).ok() && second.start().ok());
    EXPECT_EQ(ask(second, "get"), "9");
}

}  // namespace
