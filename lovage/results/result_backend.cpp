#include <lovage/results/result_backend.hpp>

#include <utility>

namespace lovage {
namespace {

std::unexpected<Error> no_chords(const ResultBackend& backend) {
    return fail(Errc::invalid_argument,
                "the result backend " + backend.display_url() + " does not count chords");
}

/// Where a group is kept by drivers without a format of their own for it: a record like a task's.
std::string group_record_id(const std::string& group_id) {
    return "group/" + group_id;
}

}  // namespace

Awaitable<std::vector<Result<StoreOutcome>>> ResultBackend::store_many(std::vector<TaskMeta> metas,
                                                                       Deadline deadline) {
    std::vector<Result<StoreOutcome>> outcomes;
    outcomes.reserve(metas.size());
    for (TaskMeta& meta : metas) {
        outcomes.push_back(co_await store(std::move(meta), deadline));
    }
    co_return outcomes;
}

Awaitable<Result<void>> ResultBackend::start_chord(ChordStart, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<void>> ResultBackend::grow_chord(std::string, std::string, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<ChordReturns>> ResultBackend::add_chord_part(ChordPart, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<void>> ResultBackend::end_chord(std::string, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<void>> ResultBackend::watch_chord(std::string, Json, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<std::optional<Json>>> ResultBackend::chord_watch(std::string, Deadline) {
    co_return std::optional<Json>{};
}
Awaitable<Result<std::vector<UnfinishedChord>>> ResultBackend::look_at_chords(ChordLook, Deadline) {
    co_return std::vector<UnfinishedChord>{};
}
Awaitable<Result<ChordReturns>> ResultBackend::take_chord(std::string, std::string,
                                                          std::optional<std::int64_t>, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<void>> ResultBackend::keep(std::vector<std::string>, Deadline) {
    co_return no_chords(*this);
}

Awaitable<Result<std::vector<std::optional<TaskMeta>>>> ResultBackend::get_many(
    std::vector<std::string> task_ids, Deadline deadline) {
    std::vector<std::optional<TaskMeta>> records;
    records.reserve(task_ids.size());
    for (std::string& task_id : task_ids) {
        auto record = co_await get(std::move(task_id), deadline);
        if (!record) co_return std::unexpected{std::move(record.error())};
        records.push_back(std::move(*record));
    }
    co_return records;
}

Awaitable<Result<void>> ResultBackend::save_group(std::string group_id, Json result,
                                                  Deadline deadline) {
    TaskMeta record;
    record.task_id = group_record_id(group_id);
    record.status = states::kSuccess;
    record.result = std::move(result);
    auto stored = co_await store(std::move(record), deadline);
    if (!stored) co_return std::unexpected{std::move(stored.error())};
    co_return Result<void>{};
}
Awaitable<Result<std::optional<Json>>> ResultBackend::saved_group(std::string group_id,
                                                                  Deadline deadline) {
    auto record = co_await get(group_record_id(group_id), deadline);
    if (!record) co_return std::unexpected{std::move(record.error())};
    if (!*record) co_return std::optional<Json>{};
    co_return std::optional<Json>{std::move((*record)->result)};
}
Awaitable<Result<void>> ResultBackend::forget_group(std::string group_id, Deadline deadline) {
    return forget(group_record_id(group_id), deadline);
}

}  // namespace lovage
