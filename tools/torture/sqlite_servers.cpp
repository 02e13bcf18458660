// The embedded broker has no server: what can befall it is another process that holds its files.
#include "servers.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

namespace lovage::torture {

namespace {

using namespace std::chrono_literals;

/// Holds the write lock of `file` for that long, as a backup or a careless tool does.
Evidence lock(const std::filesystem::path& file, std::chrono::milliseconds time) {
    sqlite3* opened = nullptr;
    const int found = sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READWRITE, nullptr);
    const std::unique_ptr<sqlite3, decltype(&sqlite3_close)> database{opened, sqlite3_close};
    if (found != SQLITE_OK) return std::nullopt;
    sqlite3_busy_timeout(database.get(), 10'000);
    const auto run = [&](const char* sql) {
        return sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK;
    };
    if (!run("BEGIN IMMEDIATE")) return std::nullopt;
    let_pass(time);
    if (sqlite3_get_autocommit(database.get()) != 0 || !run("ROLLBACK")) return std::nullopt;
    return Sign{fmt::format("the lock of {} was held", file.filename().string())};
}

class SqliteServers final : public Servers {
public:
    explicit SqliteServers(std::filesystem::path folder) : folder_{std::move(folder)} {}

    [[nodiscard]] Urls urls() const override {
        const std::string url = "sqlite:///" + folder_.string();
        return {url, url};
    }
    [[nodiscard]] Urls straight() const override { return urls(); }
    [[nodiscard]] Evidence inflict(const PlannedFault& fault) override {
        const bool broker = fault.kind == FaultKind::lock_broker;
        if (!broker && fault.kind != FaultKind::lock_results) return std::nullopt;
        return lock(folder_ / (broker ? "broker.sqlite3" : "results.sqlite3"), fault.duration);
    }

private:
    std::filesystem::path folder_;
};

}  // namespace

std::unique_ptr<Servers> make_sqlite_servers(const std::filesystem::path& folder) {
    return std::make_unique<SqliteServers>(folder / "data");
}

}  // namespace lovage::torture
