// The .onnx files among the arguments of a test program: files, or folders that are searched (one level of folders
// inside).
#pragma once
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static inline void each_file(const char *path, int depth, void (*visit)(const char *path)) {
  struct stat s;
  if (stat(path, &s) != 0) return;
  if (!S_ISDIR(s.st_mode)) {
    size_t n = strlen(path);
    if (n > 5 && strcmp(path + n - 5, ".onnx") == 0) visit(path);
    return;
  }
  if (depth == 0) return;
  struct dirent **names;
  int count = scandir(path, &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    if (names[i]->d_name[0] != '.') {
      size_t size = strlen(path) + strlen(names[i]->d_name) + 2;
      char *inner = (char *)malloc(size);
      snprintf(inner, size, "%s/%s", path, names[i]->d_name);
      each_file(inner, depth - 1, visit);
      free(inner);
    }
    free(names[i]);
  }
  if (count >= 0) free(names);
}
