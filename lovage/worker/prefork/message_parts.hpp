#pragma once

#include <lovage/app/client.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/worker/prefork/byte_codec.hpp>
#include <lovage/worker/task_run.hpp>

/// What the messages between a worker and its slots are made of (slot_protocol.hpp). Reading checks
/// each value and refuses, see ByteReader::refuse(), what the other side cannot have meant.
namespace lovage::slot {

void write_json(ByteWriter& out, const Json& value);
/// Validated, and kept raw.
[[nodiscard]] Json read_json(ByteReader& in);

void write_error(ByteWriter& out, const Error& error);
[[nodiscard]] Error read_error(ByteReader& in);

void write_context(ByteWriter& out, const TaskContext::Request& context);
[[nodiscard]] TaskContext::Request read_context(ByteReader& in);

void write_outcome(ByteWriter& out, const TaskOutcome& outcome);
/// Refuses what only the worker can say of a slot, too.
[[nodiscard]] TaskOutcome read_task_outcome(ByteReader& in);

void write_send(ByteWriter& out, const TaskSend& send);
[[nodiscard]] TaskSend read_send(ByteReader& in);

}  // namespace lovage::slot
