#include <lovage/clients/sqlite/files.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include <sys/stat.h>

namespace lovage::sqlite {

std::filesystem::path real_path(const std::filesystem::path& file) {
    std::error_code problem;
    const auto absolute = std::filesystem::absolute(file, problem);
    if (problem) return file;
    auto real = std::filesystem::weakly_canonical(absolute, problem);
    return problem || real.empty() ? absolute : real;
}

Result<void> make_private_folder(const std::filesystem::path& folder) {
    std::error_code problem;
    if (folder.has_parent_path()) {
        std::filesystem::create_directories(folder.parent_path(), problem);
    }
    if (problem) return file_failure("cannot make the folder", folder, problem.value());
    if (::mkdir(folder.c_str(), 0700) == 0) return {};
    const int reason = errno;
    if (reason == EEXIST && std::filesystem::is_directory(folder, problem)) return {};
    return file_failure("cannot make the folder", folder, reason);
}

std::string_view remedy(int problem) noexcept {
    switch (problem) {
        case EACCES:
        case EPERM:
            return "it belongs to another user? Start as that user, or set LOVAGE_BROKER_URL / "
                   "LOVAGE_RESULT_BACKEND to another folder";
        case EROFS:
        case EEXIST:
        case ENOTDIR:
        case ELOOP:
        case ENAMETOOLONG:
            return "set LOVAGE_BROKER_URL / LOVAGE_RESULT_BACKEND to another folder";
        default:
            return {};
    }
}

std::unexpected<Error> file_failure(std::string_view what, const std::filesystem::path& path,
                                    int problem) {
    const std::string_view advice = remedy(problem);
    return fail(Errc::unavailable,
                fmt::format("{} '{}': {}{}{}", what, path.string(), std::strerror(problem),
                            advice.empty() ? "" : ": ", advice));
}

}  // namespace lovage::sqlite
