#include <lovage/results/result_backend.hpp>

namespace lovage {
namespace {

std::unexpected<Error> no_chords(const ResultBackend& backend) {
    return fail(Errc::invalid_argument,
                "the result backend " + backend.display_url() + " does not count chords");
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
Awaitable<Result<ChordReturns>> ResultBackend::add_chord_part(ChordPart, Deadline) {
    co_return no_chords(*this);
}
Awaitable<Result<void>> ResultBackend::end_chord(std::string, Deadline) {
    co_return no_chords(*this);
}

}  // namespace lovage
