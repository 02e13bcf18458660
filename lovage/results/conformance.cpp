#include <lovage/results/conformance.hpp>
#include <tests/support/soon.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <utility>

namespace lovage::conformance {
ResultConnection::ResultConnection(
    const std::function<std::unique_ptr<ResultBackend>(Executor)>& open)
    : backend_{open(loop_.executor())} {
    loop_.start();
}

ResultConnection::~ResultConnection() {
    close();
    loop_.call([this] { backend_.reset(); });
}

void ResultConnection::connect() {
    const Result<void> connected = loop_.run_blocking(backend_->connect(soon()));
    ASSERT_TRUE(connected) << connected.error().message();
}
void ResultConnection::close() {
    loop_.run_blocking(backend_->close(soon()));
}
Result<StoreOutcome> ResultConnection::store(TaskMeta meta) {
    return loop_.run_blocking(backend_->store(std::move(meta), soon()));
}
Result<std::optional<TaskMeta>> ResultConnection::get(const std::string& task_id) {
    return loop_.run_blocking(backend_->get(task_id, soon()));
}
std::future<Result<TaskMeta>> ResultConnection::wait(const std::string& task_id,
                                                     Deadline deadline) {
    // Asio's future needs a value that can be made empty, so the result travels through a promise.
    auto promise = std::make_shared<std::promise<Result<TaskMeta>>>();
    auto future = promise->get_future();
    boost::asio::co_spawn(loop_.executor(), backend_->wait(task_id, deadline),
                          [promise](const std::exception_ptr& error, Result<TaskMeta> outcome) {
                              if (error) {
                                  promise->set_exception(error);
                              } else {
                                  promise->set_value(std::move(outcome));
                              }
                          });
    return future;
}
Result<void> ResultConnection::forget(const std::string& task_id) {
    return loop_.run_blocking(backend_->forget(task_id, soon()));
}
Result<void> ResultConnection::mark_sent(const std::string& task_id) {
    return loop_.run_blocking(backend_->mark_sent(task_id, soon()));
}
Result<void> ResultConnection::start_chord(ChordStart chord) {
    return loop_.run_blocking(backend_->start_chord(std::move(chord), soon()));
}
Result<void> ResultConnection::grow_chord(const std::string& group_id, const std::string& part_id) {
    return loop_.run_blocking(backend_->grow_chord(group_id, part_id, soon()));
}
Result<ChordReturns> ResultConnection::add_chord_part(ChordPart part) {
    return loop_.run_blocking(backend_->add_chord_part(std::move(part), soon()));
}
Result<void> ResultConnection::end_chord(const std::string& group_id) {
    return loop_.run_blocking(backend_->end_chord(group_id, soon()));
}
Result<std::vector<UnfinishedChord>> ResultConnection::look_at_chords(ChordLook look) {
    return loop_.run_blocking(backend_->look_at_chords(look, soon()));
}
Result<std::optional<Json>> ResultConnection::chord_watch(const std::string& group_id) {
    return loop_.run_blocking(backend_->chord_watch(group_id, soon()));
}
Result<ChordReturns> ResultConnection::take_chord(const std::string& group_id,
                                                  const std::string& taker,
                                                  std::optional<std::int64_t> returned) {
    return loop_.run_blocking(backend_->take_chord(group_id, taker, returned, soon()));
}
Result<void> ResultConnection::keep(const std::vector<std::string>& task_ids) {
    return loop_.run_blocking(backend_->keep(task_ids, soon()));
}
Result<std::vector<std::optional<TaskMeta>>> ResultConnection::get_many(
    const std::vector<std::string>& task_ids) {
    return loop_.run_blocking(backend_->get_many(task_ids, soon()));
}
Result<void> ResultConnection::save_group(const std::string& group_id, Json result) {
    return loop_.run_blocking(backend_->save_group(group_id, std::move(result), soon()));
}
Result<std::optional<Json>> ResultConnection::saved_group(const std::string& group_id) {
    return loop_.run_blocking(backend_->saved_group(group_id, soon()));
}
Result<void> ResultConnection::forget_group(const std::string& group_id) {
    return loop_.run_blocking(backend_->forget_group(group_id, soon()));
}
Result<void> ResultConnection::ping() {
    return loop_.run_blocking(backend_->ping(soon()));
}
Result<bool> ResultConnection::is_known(const std::string& task_id) {
    return loop_.run_blocking(backend_->is_known(task_id, soon()));
}

StateConnection::StateConnection(const std::function<std::unique_ptr<StateStore>(Executor)>& open)
    : store_{open(loop_.executor())} {
    loop_.start();
}
StateConnection::~StateConnection() {
    loop_.run_blocking(store_->close(soon()));
    loop_.call([this] { store_.reset(); });
}
Result<std::optional<StateEntry>> StateConnection::get(const std::string& key) {
    return loop_.run_blocking(store_->get(key, soon()));
}
Result<std::uint64_t> StateConnection::set(const std::string& key, std::uint64_t expected,
                                           std::string value,
                                           std::optional<std::chrono::milliseconds> ttl) {
    return loop_.run_blocking(
        store_->compare_and_set(key, expected, std::move(value), ttl, soon()));
}
Result<void> StateConnection::erase(const std::string& key, std::uint64_t expected) {
    return loop_.run_blocking(store_->compare_and_erase(key, expected, soon()));
}
std::vector<std::string> StateConnection::keys(const std::string& prefix, std::size_t limit) {
    auto entries = loop_.run_blocking(store_->list(prefix, limit, soon()));
    EXPECT_TRUE(entries) << entries.error().message();
    std::vector<std::string> keys;
    if (entries) {
        for (auto& [key, entry] : *entries) keys.push_back(std::move(key));
    }
    return keys;
}

std::unique_ptr<ResultConnection> ResultConformance::open() {
    ResultSettings settings{kExpires, kBytesMax, [this] { return clock_.wall(); }};
    auto connection = std::make_unique<ResultConnection>(
        [&](Executor executor) { return store_->open(std::move(executor), settings); });
    connection->connect();
    return connection;
}

std::unique_ptr<StateConnection> StateConformance::open() {
    return std::make_unique<StateConnection>(
        [&](Executor executor) { return store_->open(std::move(executor), clock_); });
}

}  // namespace lovage::conformance
