#include "runtime/broker/tool_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".toml";
constexpr std::string_view kPinsSuffix = ".pins.json";
constexpr const char* kHostDirectory = "/etc/taper/tools.d";

Error wrong(const std::string& file, std::string_view expected, std::string_view got = "") {
  return Error(
      Code::tool_file_malformed,
      {.field = file, .expected = std::string(expected), .got = std::string(got), .fix = {}});
}

// The same error, naming the file it is about.
Error in_file(const std::string& file, const Error& error) {
  ErrorDetail detail = error.detail();
  detail.field = detail.field.empty() ? file : file + ": " + detail.field;
  return Error(error.code(), std::move(detail));
}

// A host that is short of descriptors says nothing about the file.
Error not_opened(const std::string& path, std::string_view expected, int error_number) {
  constexpr std::array kAboutTheFile{ENOENT, ENOTDIR, ELOOP, EACCES, EPERM, ENXIO};
  if (std::ranges::find(kAboutTheFile, error_number) != kAboutTheFile.end())
    return wrong(path, expected);
  return os_error("open " + path, error_number);
}

Status check_owner(const std::string& path, int fd, mode_t kind) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return os_error("stat " + path, errno);
  if ((facts.st_mode & S_IFMT) != kind)
    return wrong(path, kind == S_IFDIR ? "a directory" : "a regular file");
  if (facts.st_uid != 0 && facts.st_uid != ::geteuid())
    return wrong(path, "owned by root or by the node's user",
                 "uid " + std::to_string(facts.st_uid));
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) return wrong(path, "writable by its owner alone");
  return success();
}

// What the first directory that has it says.
struct Declared {
  std::string directory;
  std::string path;
  ToolFile file;
};
Result<std::optional<Declared>> read_declared(const std::vector<std::string>& directories,
                                              const std::string& name) {
  for (const std::string& directory : directories) {
    const std::string file = name + std::string(kSuffix);
    TAPER_TRY(const std::optional<std::string> text,
              read_owned_file(directory, file, limits::kToolFileBytesMax));
    if (!text) continue;
    const std::string path = directory + "/" + file;
    if (capsules::find_builtin(name) != nullptr)
      return wrong(path, "a name that is not a builtin's", name);
    Result<ToolFile> parsed = parse_tool_file(name, *text);
    if (!parsed.ok()) return in_file(path, parsed.error());
    return std::optional(Declared{directory, path, std::move(parsed).value()});
  }
  return std::optional<Declared>();
}

Status add_names(const std::string& directory, std::set<std::string>& names) {
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return not_opened(directory, "a directory that can be read", errno);
  Status status = success();
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view file = entry->d_name;
    if (file.front() == '.' || !file.ends_with(kSuffix)) continue;
    const std::string_view name = file.substr(0, file.size() - kSuffix.size());
    if (!is_tool_name(name)) {
      status = wrong(directory + "/" + std::string(file), "a file name that is a tool name");
      break;
    }
    names.emplace(name);
    if (names.size() > limits::kToolFilesMax) {
      status = wrong(directory, "at most " + std::to_string(limits::kToolFilesMax) + " tools");
      break;
    }
  }
  ::closedir(listing);
  return status;
}

Result<std::optional<Pins>> read_pins(const std::string& directory, const UpstreamServer& server) {
  const std::string name = server.name + std::string(kPinsSuffix);
  TAPER_TRY(const std::optional<std::string> text,
            read_owned_file(directory, name, limits::kUpstreamPinsBytesMax));
  if (!text) return std::optional<Pins>();
  Result<Pins> pins = parse_pins(*text);
  if (!pins.ok()) return in_file(directory + "/" + name, pins.error());
  return std::optional<Pins>(std::move(pins).value());
}

// Another revision may tell of a tool in other words.
Result<std::optional<Pins>> pins_in_force(const std::string& directory,
                                          const UpstreamServer& server) {
  TAPER_TRY(std::optional<Pins> pins, read_pins(directory, server));
  if (pins && pins->era != server.era)
    return wrong(directory + "/" + server.name + std::string(kPinsSuffix) + ": era",
                 server.era + ", as its file says: pin it again", pins->era);
  return pins;
}

// What all tools of one server have in common, or what an agent is.
struct ServerProgram {
  sandbox::Program program;
  std::vector<authority::EntryFile> entry = {};
  std::vector<sandbox::Program> copies = {};  // of these
  std::vector<authority::GrantedTree> files = {};
};

// What stands behind a path of argv is part of what runs, where it is a regular file.
Status copy_entry(const std::vector<std::string>& argv, const Programs& known, ServerProgram& out) {
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string& path = argv[i];
    if (path.front() != '/') continue;
    struct stat facts{};
    const int failed = ::stat(path.c_str(), &facts) == 0 ? 0 : errno;
    if (failed == ENOENT || failed == ENOTDIR || failed == ENAMETOOLONG) continue;
    if (failed != 0) return not_opened(path, "a file that can be looked at", failed);
    if (!S_ISREG(facts.st_mode)) continue;
    std::error_code error;
    if (fs::canonical(path, error) != path)
      return wrong(path, "the script's real path, with no link on the way", "a link");
    const Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return not_opened(path, "a file that can be read", errno);
    TAPER_CHECK(check_owner(path, file.get(), S_IFREG));
    Result<sandbox::Program> copy =
        sandbox::Program::copy(file.get(), path, limits::kUpstreamEntryBytesMax, known);
    if (copy.code() == Code::too_large)
      return wrong(path, copy.error().detail().expected, copy.error().detail().got);
    if (!copy.ok()) return copy.error();
    if (out.entry.size() == limits::kEntryFilesMax)
      return wrong("argv", "at most " + std::to_string(limits::kEntryFilesMax) + " files");
    out.entry.push_back({path, copy->hash()});
    out.copies.push_back(std::move(*copy));
  }
  return success();
}

Result<std::vector<authority::GrantedTree>> look_at_files(const std::vector<std::string>& paths) {
  std::vector<authority::GrantedTree> files;
  for (const std::string& path : paths) {
    struct stat facts{};
    constexpr std::string_view kExpected = "a directory or a regular file";
    if (::stat(path.c_str(), &facts) != 0) return not_opened("files: " + path, kExpected, errno);
    if (!S_ISDIR(facts.st_mode) && !S_ISREG(facts.st_mode))
      return wrong("files: " + path, kExpected);
    std::error_code error;  // no cell follows one
    if (fs::canonical(path, error) != path)
      return wrong("files: " + path, "its real path, with no link on the way", "a link");
    files.push_back({.path = path, .directory = S_ISDIR(facts.st_mode), .program = true});
  }
  return files;
}

Result<ServerProgram> load_server_program(const std::vector<std::string>& argv,
                                          const std::vector<std::string>& paths,
                                          const Programs& known) {
  TAPER_TRY(sandbox::Program program, sandbox::Program::load(argv.front(), known));
  ServerProgram out{.program = std::move(program)};
  TAPER_CHECK(copy_entry(argv, known, out));
  TAPER_TRY(out.files, look_at_files(paths));
  return out;
}

Result<authority::Tool> defined_tool(const UpstreamServer& server, const Definition& definition,
                                     const ServerProgram& program) {
  TAPER_TRY(authority::Tool tool, upstream_tool(server, definition));
  tool.entry = program.entry;
  tool.files = program.files;
  tool.program = program.program.hash();
  authority::define_tool(tool);
  return tool;
}

Result<LoadedTool> load_command(const std::string& path, authority::Tool tool,
                                const Programs& known) {
  Result<sandbox::Program> program = sandbox::Program::load(tool.argv.front().literal, known);
  if (!program.ok()) return in_file(path, program.error());
  tool.program = program->hash();
  authority::define_tool(tool);
  return LoadedTool{std::move(tool), std::move(program).value()};
}

Result<LoadedTool> load_agent(const std::string& path, authority::Tool tool,
                              const Programs& known) {
  std::vector<std::string> argv, paths;
  for (const authority::ArgvWord& word : tool.argv) argv.push_back(word.literal);
  for (const authority::GrantedTree& file : tool.files) paths.push_back(file.path);
  Result<ServerProgram> loaded = load_server_program(argv, paths, known);
  if (!loaded.ok()) return in_file(path, loaded.error());
  tool.entry = std::move(loaded->entry);
  tool.files = std::move(loaded->files);
  tool.program = loaded->program.hash();
  authority::define_tool(tool);
  return LoadedTool{std::move(tool), std::move(loaded->program), std::move(loaded->copies)};
}

Result<LoadedTool> load_declared(const std::string& path, authority::Tool tool,
                                 const Programs& known) {
  return tool.kind == authority::ToolKind::agent ? load_agent(path, std::move(tool), known)
                                                 : load_command(path, std::move(tool), known);
}

// The tool `name` of its server, where that has it.
Result<std::optional<LoadedTool>> load_upstream(const std::vector<std::string>& directories,
                                                const std::string& name, const Programs& known) {
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos) return std::optional<LoadedTool>();
  TAPER_TRY(const std::optional<Declared> declared,
            read_declared(directories, name.substr(0, dot)));
  const auto* server = declared ? std::get_if<UpstreamServer>(&declared->file) : nullptr;
  if (server == nullptr) return std::optional<LoadedTool>();
  TAPER_TRY(const std::optional<Pins> pins, pins_in_force(declared->directory, *server));
  if (!pins) return std::optional<LoadedTool>();
  const auto definition = pins->tools.find(name.substr(dot + 1));
  if (definition == pins->tools.end()) return std::optional<LoadedTool>();
  Result<ServerProgram> program = load_server_program(server->argv, server->files, known);
  if (!program.ok()) return in_file(declared->path, program.error());
  Result<authority::Tool> tool = defined_tool(*server, definition->second, *program);
  if (!tool.ok()) return in_file(declared->path + ": tool " + definition->first, tool.error());
  return std::optional(
      LoadedTool{std::move(tool).value(), std::move(program->program), std::move(program->copies)});
}

Status add_upstream_tools(const Declared& declared, const UpstreamServer& server, Programs& known,
                          authority::Tools& tools) {
  TAPER_TRY(const std::optional<Pins> pins, pins_in_force(declared.directory, server));
  if (!pins) return success();
  Result<ServerProgram> program = load_server_program(server.argv, server.files, known);
  if (!program.ok()) return in_file(declared.path, program.error());
  for (const auto& [name, definition] : pins->tools) {
    Result<authority::Tool> tool = defined_tool(server, definition, *program);
    if (!tool.ok()) continue;
    const std::string key = tool->name;
    tools.try_emplace(key, std::move(tool).value());
  }
  const Hash hash = program->program.hash();
  known.insert_or_assign(hash, std::move(program->program));
  return success();
}

}  // namespace

Result<std::optional<std::string>> read_owned_file(const std::string& directory,
                                                   const std::string& name, std::size_t most) {
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return not_opened(directory, "a directory that can be read", errno);
  TAPER_CHECK(check_owner(directory, folder.get(), S_IFDIR));
  const std::string path = directory + "/" + name;
  const Fd file(
      ::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::optional<std::string>();
  if (!file) return not_opened(path, "a regular file that can be read", errno);
  TAPER_CHECK(check_owner(path, file.get(), S_IFREG));
  const Result<Bytes> bytes = read_fd(file.get(), path, most);
  if (bytes.code() == Code::too_large)
    return wrong(path, bytes.error().detail().expected, bytes.error().detail().got);
  if (!bytes.ok()) return Error(Code::os_failure, bytes.error().detail());
  return std::optional<std::string>(as_text(*bytes));
}

std::vector<std::string> tool_directories(const std::string& state) {
  std::vector<std::string> directories;
  for (const std::string& candidate : {state + "/tools.d", std::string(kHostDirectory)})
    if (::access(candidate.c_str(), F_OK) == 0) directories.push_back(candidate);
  return directories;
}

Result<std::optional<LoadedTool>> load_tool(const std::vector<std::string>& directories,
                                            const std::string& name, const Programs& known) {
  if (!is_tool_name(name)) return std::optional<LoadedTool>();
  TAPER_TRY(std::optional<Declared> declared, read_declared(directories, name));
  if (!declared) return load_upstream(directories, name, known);
  auto* command = std::get_if<authority::Tool>(&declared->file);
  if (command == nullptr) return std::optional<LoadedTool>();
  TAPER_TRY(LoadedTool loaded, load_declared(declared->path, std::move(*command), known));
  return std::optional<LoadedTool>(std::move(loaded));
}

Result<authority::Tools> load_tools(const std::vector<std::string>& directories) {
  std::set<std::string> names;
  for (const std::string& directory : directories) TAPER_CHECK(add_names(directory, names));
  authority::Tools tools;
  Programs known;  // an interpreter of many is read once
  std::vector<Declared> servers;
  for (const std::string& name : names) {
    TAPER_TRY(std::optional<Declared> declared, read_declared(directories, name));
    if (!declared) continue;
    if (auto* command = std::get_if<authority::Tool>(&declared->file)) {
      TAPER_TRY(LoadedTool loaded, load_declared(declared->path, std::move(*command), known));
      tools.emplace(name, std::move(loaded.tool));
      known.insert_or_assign(loaded.program.hash(), std::move(loaded.program));
    } else {
      servers.push_back(std::move(*declared));
    }
  }
  for (const Declared& declared : servers) {
    TAPER_CHECK(
        add_upstream_tools(declared, std::get<UpstreamServer>(declared.file), known, tools));
    if (tools.size() > limits::kToolsMax)
      return wrong(declared.path, "at most " + std::to_string(limits::kToolsMax) + " tools in all");
  }
  return tools;
}

Result<std::optional<ServerFile>> load_server(const std::vector<std::string>& directories,
                                              const std::string& name) {
  if (!is_server_name(name)) return std::optional<ServerFile>();
  TAPER_TRY(std::optional<Declared> declared, read_declared(directories, name));
  if (!declared) return std::optional<ServerFile>();
  auto* server = std::get_if<UpstreamServer>(&declared->file);
  if (server == nullptr)
    return wrong(declared->path + ": kind", "mcp, as only servers' tools are pinned", "another");
  ServerFile out;
  out.pins_path = declared->directory + "/" + name + std::string(kPinsSuffix);
  TAPER_TRY(out.pins, read_pins(declared->directory, *server));
  out.server = std::move(*server);
  return std::optional<ServerFile>(std::move(out));
}

}  // namespace taper::broker
