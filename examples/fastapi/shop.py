from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def orders():
    return {"orders": 7}
