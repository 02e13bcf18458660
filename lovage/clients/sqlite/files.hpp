#pragma once

#include <filesystem>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage::sqlite {

/// `file` as it is called however it was written: absolute and without symbolic links. Where one of
/// its folders cannot be looked into it is only made absolute, so that whoever opens it names it.
[[nodiscard]] std::filesystem::path real_path(const std::filesystem::path& file);

/// Makes `folder`, and its parents, when missing; `folder` itself for this user alone (mode 0700).
/// Errors: unavailable, see file_failure().
[[nodiscard]] Result<void> make_private_folder(const std::filesystem::path& folder);

/// What the user can do about `problem`, an errno of opening or making a file; empty when nobody
/// can tell.
[[nodiscard]] std::string_view remedy(int problem) noexcept;

/// "<what> '<path>': <problem in words>: <remedy>", unavailable. `problem` is an errno.
[[nodiscard]] std::unexpected<Error> file_failure(std::string_view what,
                                                  const std::filesystem::path& path, int problem);

}  // namespace lovage::sqlite
